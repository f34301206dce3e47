// Cost: the figures and what they are made of are the API's.
import assert from 'node:assert/strict';
import { DESKTOP, PHONE, accessible, mounted, noSidewaysScroll } from './browser.mjs';

export async function run(t) {
  const page = await t.visit(DESKTOP, '#/cost');
  await mounted(page, 'cost');

  await t.step('the bill is the API\'s', async () => {
    await page.locator('[data-figure="per-million"], .state').first().waitFor();
    const { last_hour: bill } = await t.api('/v1/cost');
    if (!bill.samples || !t.expected.exact) return;
    const shown = Number((await page.locator('[data-figure="per-million"]').textContent()).slice(1));
    assert.ok(Math.abs(shown - bill.variable_usd_per_million_samples) <= 0.006 * Math.max(1, bill.variable_usd_per_million_samples), `${shown}, the API says ${bill.variable_usd_per_million_samples}`);
    assert.deepEqual(await page.locator('tr[data-line]').evaluateAll((rows) => rows.map((r) => r.dataset.line).sort()), bill.lines.map((l) => `${l.service} ${l.item}`).sort());
  });
  await t.picture(page, 'cost');
  await accessible(page, 'cost');

  await t.step('another region is asked for, and is in the address', async () => {
    const asked = page.waitForRequest((r) => r.url().includes('region=us-east-1'));
    await page.check('input[name="region"][value="us-east-1"]', { force: true });
    await asked;
    assert.match(page.url(), /region=us-east-1/);
    await page.context().close();
  });

  await t.step('on a phone', async () => {
    const phone = await t.visit(PHONE, '#/cost');
    await mounted(phone, 'cost');
    await phone.locator('[data-figure="per-million"], .state').first().waitFor();
    await noSidewaysScroll(phone, 'cost');
    await accessible(phone, 'cost on a phone');
    await phone.context().close();
  });
}
