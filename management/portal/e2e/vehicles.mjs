// Vehicles: the summary is the API's, a car's silence is explained without its id going into an address, and
// sensors are told by model and software.
import assert from 'node:assert/strict';
import { DESKTOP, PHONE, accessible, mounted, noSidewaysScroll, number } from './browser.mjs';

const CAR = 'WBA-4711';

export async function run(t) {
  const page = await t.visit(DESKTOP, '#/vehicles');
  page.on('request', (r) => { if (r.url().includes(CAR)) t.problems.push(`a vehicle's id is in a URL: ${r.url()}`); });
  await mounted(page, 'vehicles');

  await t.step('the summary is the API\'s', async () => {
    await page.locator('[data-figure="seen-hour"]').waitFor();
    const s = await t.api('/v1/vehicles/summary');
    if (!t.expected.exact) return;
    assert.equal(number(await page.locator('[data-figure="seen-hour"]').textContent()), s.seen_last_hour);
    assert.equal(number(await page.locator('[data-figure="silent"]').textContent()), s.silent_longer);
  });

  await t.step('why a car is silent, by keyboard alone', async () => {
    await page.focus('#vehicle-id');
    await page.keyboard.type(CAR);
    await page.keyboard.press('Enter');
    await page.locator('#vehicle-reason').waitFor();
    const res = await fetch(`${t.url}/v1/vehicles:status`, { method: 'POST', headers: { Authorization: `Bearer ${t.token}`, 'Content-Type': 'application/json' }, body: JSON.stringify({ vehicle_id: CAR }) });
    const v = await res.json();
    assert.equal(await page.locator('#vehicle-reason').getAttribute('data-reason'), v.reason);
    assert.ok((await page.locator('#vehicle-verdict').textContent()).length > 20);
    assert.ok(!page.url().includes(CAR), 'the id is in the address');
  });

  await t.step('sensors by model and software', async () => {
    await page.locator('#health table, #health .state').first().waitFor();
  });
  await t.picture(page, 'vehicles');
  await accessible(page, 'vehicles');
  await page.context().close();

  await t.step('on a phone', async () => {
    const phone = await t.visit(PHONE, '#/vehicles');
    await mounted(phone, 'vehicles');
    await phone.locator('#health table, #health .state').first().waitFor();
    await noSidewaysScroll(phone, 'vehicles');
    await accessible(phone, 'vehicles on a phone');
    await phone.context().close();
  });
}
