// Trends: the table is the API's answer, the address holds the choice, a box is drawn on the map.
import assert from 'node:assert/strict';
import { DESKTOP, PHONE, accessible, mounted, noSidewaysScroll, number } from './browser.mjs';

export async function run(t) {
  const page = await t.visit(DESKTOP, '#/trends?along=time&period=day&compare=before');
  const answers = [];
  page.on('response', async (r) => { if (r.url().includes('/v1/trends/')) answers.push(r.json().catch(() => null)); });
  await mounted(page, 'trends');
  const rows = page.locator('section[aria-label="Result"] tbody tr');
  const result = page.locator('section[aria-label="Result"] table, section[aria-label="Result"] .state');

  await t.step('chart and table show what the API answered', async () => {
    await result.first().waitFor();
    if (!await rows.count()) return;
    await page.locator('.trend .uplot').waitFor();
    const doc = await answers.at(-1);
    assert.equal(await page.locator('[data-groups]').getAttribute('data-groups'), String(doc.groups.length));
    const newest = doc.groups.at(-1);
    const cells = await rows.first().locator('td').allTextContents();
    assert.equal(cells[1], newest.mean_kmh === null ? '–' : String(Math.round(newest.mean_kmh)));
    assert.equal(cells[3], newest.p15_kmh === null ? '–' : String(Math.round(newest.p15_kmh)));
  });
  await t.picture(page, 'trends');
  await accessible(page, 'trends');

  await t.step('the choice is in the address, and the address makes the choice', async () => {
    const asked = page.waitForRequest((r) => r.url().includes('group_by=hour_of_day%2Cclass'));
    await page.selectOption('select[name="along"]', 'hour_of_day');
    await page.selectOption('select[name="split"]', 'class');
    await asked;
    assert.match(page.url(), /along=hour_of_day/);
    assert.match(page.url(), /split=class/);
    const again = page.waitForRequest((r) => r.url().includes('group_by=hour_of_day%2Cclass'));
    await page.reload();
    await again;
    await result.first().waitFor();
  });

  await t.step('a box that is drawn limits the area', async () => {
    await page.waitForFunction(() => window.carassoAreaMap?.loaded());
    const box = await page.locator('.area-map canvas').boundingBox();
    const asked = page.waitForRequest((r) => /bbox=[\d.]+%2C/.test(r.url()) && r.url().includes('/v1/trends/'));
    await page.mouse.move(box.x + box.width * 0.3, box.y + box.height * 0.3);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.7, box.y + box.height * 0.7);
    await page.mouse.up();
    await asked;
    const [w, s, e, n] = (await page.locator('#bbox').inputValue()).split(',').map(number);
    assert.ok(w < e && s < n);
  });

  await t.step('the file holds what the table shows', async () => {
    await result.first().waitFor();
    if (!await rows.count()) return;
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'CSV' }).click();
    assert.match((await download).suggestedFilename(), /^carasso-speeds-.*\.csv$/);
  });
  await page.context().close();

  await t.step('on a phone', async () => {
    const phone = await t.visit(PHONE, '#/trends');
    await mounted(phone, 'trends');
    await phone.locator('section[aria-label="Result"] table, section[aria-label="Result"] .state').first().waitFor();
    await noSidewaysScroll(phone, 'trends');
    await accessible(phone, 'trends on a phone');
    await phone.context().close();
  });
}
