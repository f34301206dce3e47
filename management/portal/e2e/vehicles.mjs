// Vehicles: the summary is the API's, a car's silence is explained without its id going into an address, and
// sensors are told by model and software.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { DESKTOP, PHONE, accessible, mounted, noSidewaysScroll, number } from './browser.mjs';

const CAR = 'WBA-4711';

// A job of a running deployment first waits for what is on its way.
const ERASING_MS = 240_000;

/** An administrator erases a vehicle's data; the receipt is shown, saved, and verifies. */
async function erasure(t) {
  const vehicle = t.expected.erase ?? CAR;
  const page = await t.visit({ ...DESKTOP, acceptDownloads: true }, '#/vehicles', { as: t.expected.admin });
  page.on('request', (r) => { if (r.url().includes(vehicle)) t.problems.push(`a vehicle's id is in a URL: ${r.url()}`); });
  await mounted(page, 'vehicles');
  const button = page.getByRole('button', { name: 'Erase for good' });

  await t.step('an erasure is confirmed by the same id once more', async () => {
    let asked = 0;
    page.on('request', (r) => { if (r.url().endsWith('/v1/vehicles:erase')) asked++; });
    assert.equal(await button.isDisabled(), true);
    await page.fill('#erase-id', vehicle);
    assert.equal(await button.isDisabled(), true, 'the id once is enough');
    await page.fill('#erase-again', `${vehicle}x`);
    assert.equal(await button.isDisabled(), true, 'another id confirms');
    await page.focus('#erase-again');
    await page.keyboard.press('Enter');
    assert.equal(asked, 0, 'Enter passes by the confirmation');
    await accessible(page, 'the confirmation of an erasure');
    await page.fill('#erase-again', vehicle);
    const request = page.waitForRequest((r) => r.url().endsWith('/v1/vehicles:erase'));
    await page.keyboard.press('Enter');
    assert.deepEqual((await request).postDataJSON(), { vehicle_id: vehicle });
    assert.equal(await page.inputValue('#erase-id'), '', 'the id stays in the form');
  });

  const plural = (n, one, many) => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
  let saved = null;
  await t.step('it is followed to its end, and the receipt is shown and saved', async () => {
    await page.locator('#erasure-state[data-state="done"]').waitFor({ timeout: ERASING_MS });
    const { erasures: [e] } = await t.api('/v1/erasures?limit=1');
    assert.equal(e.state, 'done');
    const { batches, samples } = e.counts.archive;
    assert.equal(await page.locator('#erasure [data-fact="archive"]').textContent(), `${plural(batches, 'batch', 'batches')} of ${plural(samples, 'sample', 'samples')}`);
    if (t.expected.erase) assert.ok(batches > 0, 'nothing was erased');
    await page.locator('#receipt-text summary').click();
    assert.deepEqual(JSON.parse(await page.locator('#receipt-text pre').textContent()), e.receipt);
    await page.locator(`tr[data-erasure="${e.id}"] [data-state="done"]`).waitFor();
    const saving = page.waitForEvent('download');
    await page.click('#receipt');
    const file = await saving;
    assert.equal(file.suggestedFilename(), `erasure-${e.id}.json`);
    saved = await readFile(await file.path());
    assert.ok(!(await page.locator('#main').textContent()).includes(vehicle), 'the vehicle is named');
    await t.picture(page, 'erasure');
    await accessible(page, 'an erasure\'s receipt');
  });

  await t.step('the saved receipt verifies; one that was changed does not', async () => {
    await page.locator('#check-receipt summary').click();
    const check = async (buffer, id = '') => {
      await page.setInputFiles('#receipt-file', { name: 'receipt.json', mimeType: 'application/json', buffer });
      await page.fill('#receipt-vehicle', id);
      const answer = page.waitForResponse((r) => r.url().endsWith('/v1/erasures:verify'));
      await page.locator('#check-receipt button').click();
      await answer;
    };
    await check(saved, vehicle);
    await page.locator('#receipt-verdict [data-valid="true"]').waitFor();
    await page.locator('#receipt-verdict [data-about="true"]').waitFor();
    await check(saved, 'another-car');
    await page.locator('#receipt-verdict [data-about="false"]').waitFor();
    await check(Buffer.from(saved.toString().replace(/"batches":\d+/, '"batches":123456')), vehicle);
    await page.locator('#receipt-verdict [data-valid="false"]').waitFor();
    await page.setInputFiles('#receipt-file', { name: 'receipt.json', mimeType: 'application/json', buffer: Buffer.from('no receipt') });
    await page.locator('#check-receipt button').click();
    await page.getByText('it is not JSON').waitFor();
    await accessible(page, 'the check of a receipt');
  });
  await page.context().close();
}

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
  await t.step('an operator sees what was erased, and can erase nothing', async () => {
    await page.locator('#erasures').waitFor();
    assert.equal(await page.locator('#erase-id').count(), 0);
  });
  await t.picture(page, 'vehicles');
  await accessible(page, 'vehicles');
  await page.context().close();
  await erasure(t);

  await t.step('on a phone', async () => {
    const phone = await t.visit(PHONE, '#/vehicles');
    await mounted(phone, 'vehicles');
    await phone.locator('#health table, #health .state').first().waitFor();
    await noSidewaysScroll(phone, 'vehicles');
    await accessible(phone, 'vehicles on a phone');
    await phone.context().close();
  });
}
