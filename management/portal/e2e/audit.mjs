// Audit: the entries are the API's, filters and pages are asked for, and only an administrator sees them.
import assert from 'node:assert/strict';
import { DESKTOP, PHONE, accessible, mounted, noSidewaysScroll } from './browser.mjs';

export async function run(t) {
  await t.step('an operator is told which role it needs, and not led there', async () => {
    const page = await t.visit(DESKTOP, '#/audit');
    await mounted(page, 'audit');
    await page.getByText('This needs a higher role').waitFor();
    assert.equal(await page.locator('.state code').textContent(), 'carasso token --role admin');
    assert.equal(await page.locator('#views a[data-view="audit"]').isVisible(), false);
    await page.context().close();
  });
  if (!t.expected.admin) return;
  const api = async (path) => (await fetch(t.url + path, { headers: { Authorization: `Bearer ${t.expected.admin}` } })).json();
  const visit = async (options, hash) => {
    const page = await t.visit(options, hash, { as: t.expected.admin });
    await mounted(page, 'audit');
    return page;
  };
  // Something to enter, whatever the other parts did.
  await fetch(`${t.url}/v1/vehicles:status`, { method: 'POST', headers: { Authorization: `Bearer ${t.token}`, 'Content-Type': 'application/json' }, body: JSON.stringify({ vehicle_id: 'WBA-1' }) });
  const page = await visit(DESKTOP, '#/audit');
  const ids = () => page.locator('tr[data-entry]').evaluateAll((rows) => rows.map((r) => Number(r.dataset.entry)));

  await t.step('the entries are the API\'s, with times in UTC on hover', async () => {
    await page.locator('tr[data-entry]').first().waitFor();
    const { entries } = await api('/v1/audit?limit=50');
    assert.deepEqual(await ids(), entries.map((e) => e.id));
    const first = page.locator('tr[data-entry]').first();
    assert.equal(Date.parse(await first.locator('time').getAttribute('datetime')), Date.parse(entries[0].at));
    assert.match(await first.locator('time').getAttribute('title'), / UTC$/);
    assert.equal(await first.locator('[data-outcome]').getAttribute('data-outcome'), entries[0].outcome);
    assert.equal(await page.locator('#views a[data-view="audit"]').isVisible(), true);
    assert.ok(!(await page.locator('#main').textContent()).includes('WBA-1'), 'no vehicle is named');
  });
  await t.picture(page, 'audit');
  await accessible(page, 'audit');

  await t.step('an entry is opened by the keyboard', async () => {
    await page.locator('tr[data-entry] button').first().focus();
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'entry');
    assert.match(page.url(), /entry=\d+/);
    await accessible(page, 'an entry');
  });

  await t.step('filters are asked for, and are in the address', async () => {
    const asked = page.waitForRequest((r) => r.url().includes('action=vehicle.look_up'));
    await page.fill('input[name="action"]', 'vehicle.look_up');
    await page.keyboard.press('Enter');
    await asked;
    const { entries } = await api('/v1/audit?action=vehicle.look_up&limit=50');
    await page.waitForFunction((want) => JSON.stringify([...document.querySelectorAll('tr[data-entry]')].map((r) => Number(r.dataset.entry))) === want, JSON.stringify(entries.map((e) => e.id)));
    assert.match(page.url(), /action=vehicle\.look_up/);
    await page.fill('input[name="subject"]', 'nobody-of-that-name');
    await page.keyboard.press('Enter');
    await page.getByText('Nothing was changed that fits this filter.').waitFor();
  });

  await t.step('older pages are fetched', async () => {
    const [newest] = (await api('/v1/audit?limit=1')).entries;
    // As if pages were of one entry.
    await page.route('**/v1/audit?*', (r) => r.fulfill({ json: new URL(r.request().url()).searchParams.has('cursor') ? { entries: [{ ...newest, id: 1e9 }] } : { entries: [newest], next_cursor: '7' } }));
    await page.fill('input[name="subject"]', '');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Older entries' }).click();
    await page.locator('tr[data-entry="1000000000"]').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Older entries' }).isVisible(), false);
  });
  await page.context().close();

  await t.step('on a phone', async () => {
    const phone = await visit(PHONE, '#/audit');
    await phone.locator('tr[data-entry]').first().waitFor();
    await noSidewaysScroll(phone, 'audit');
    await accessible(phone, 'audit on a phone');
    await t.picture(phone, 'audit-phone');
    await phone.context().close();
  });
}
