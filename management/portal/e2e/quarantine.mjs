// Quarantine: list and detail are the API's, and a redrive is asked for.
import assert from 'node:assert/strict';
import { DESKTOP, PHONE, accessible, mounted, noSidewaysScroll, number } from './browser.mjs';

export async function run(t) {
  const page = await t.visit(DESKTOP, '#/quarantine');
  await mounted(page, 'quarantine');

  await t.step('what is open is listed as the API has it', async () => {
    const { entries } = await t.api('/v1/quarantine');
    if (!entries.length) {
      await page.getByText('Nothing is in quarantine').waitFor();
      return;
    }
    await page.locator('tr[data-entry]').first().waitFor();
    assert.deepEqual(await page.locator('tr[data-entry]').evaluateAll((rows) => rows.map((r) => Number(r.dataset.entry))), entries.map((e) => e.id));
    const whole = entries.find((e) => e.scope === 'envelope' && e.samples);
    await page.locator(`tr[data-entry="${whole.id}"] .link-button`).click();
    await page.locator('#entry #card-title').waitFor();
    assert.equal(number(await page.locator('#entry [data-fact="samples"]').textContent()), whole.samples);
  });
  await t.picture(page, 'quarantine');
  await accessible(page, 'quarantine');

  await t.step('an entry is tried again', async () => {
    if (!t.expected.exact) return;
    await page.locator('#entry .button.primary').click();
    await page.locator('#entry [data-state="pending"]').waitFor();
    await page.keyboard.press('Escape');
    await page.check('input[name="state"][value="resolved"]', { force: true });
    const { entries } = await t.api('/v1/quarantine?state=resolved');
    await page.waitForFunction((ids) => JSON.stringify([...document.querySelectorAll('tr[data-entry]')].map((r) => Number(r.dataset.entry))) === ids, JSON.stringify(entries.map((e) => e.id)));
    assert.match(page.url(), /state=resolved/);
  });
  await page.context().close();

  await t.step('on a phone', async () => {
    const phone = await t.visit(PHONE, '#/quarantine');
    await mounted(phone, 'quarantine');
    await phone.locator('tr[data-entry], .state').first().waitFor();
    await noSidewaysScroll(phone, 'quarantine');
    await accessible(phone, 'quarantine on a phone');
    await phone.context().close();
  });
}
