// The pipeline: the drawing and the ledger say what the API says.
import assert from 'node:assert/strict';
import { DESKTOP, PHONE, accessible, mounted, noSidewaysScroll, number } from './browser.mjs';

export async function run(t) {
  const page = await t.visit(DESKTOP, '#/pipeline');
  await mounted(page, 'pipeline');

  await t.step('every part of the architecture is drawn with its figures', async () => {
    await page.locator('.architecture').waitFor();
    const boxes = await page.locator('.architecture .box').evaluateAll((gs) => gs.map((g) => [g.dataset.box, g.dataset.state]));
    assert.equal(boxes.length, 11);
    for (const [box, state] of boxes) assert.match(state ?? '', /^(good|warn|bad)$/, box);
    if (t.expected.backlog !== undefined) assert.equal(await page.locator('[data-box="queue"] .value').textContent(), `${t.expected.backlog} waiting`);
    assert.equal(await page.locator('[data-flow="post"] .flow').evaluate((e) => getComputedStyle(e).animationName), 'none', 'nothing moves where less motion is wished for');
    await page.locator('summary', { hasText: 'The same as a table' }).click();
    await page.locator('.stage + details tbody tr').nth(10).waitFor();
    assert.equal(await page.locator('.stage + details tbody tr').count(), 11);
    const p = await t.api('/v1/pipeline');
    if (p.scaling) {
      assert.equal(number(await page.locator('[data-figure="workers"]').textContent()), p.scaling.workers);
      assert.equal(number(await page.locator('[data-figure="desired-workers"]').textContent()), p.scaling.desired_workers);
    }
  });

  await t.step('the ledger by hour is the API\'s', async () => {
    await page.locator('#verdict').waitFor();
    const shown = {};
    for (const key of ['accepted', 'archived', 'duplicate', 'quarantined', 'in_flight']) shown[key] = number(await page.locator(`[data-figure="ledger-${key}"]`).textContent());
    assert.equal(shown.accepted, shown.archived + shown.duplicate + shown.quarantined + shown.in_flight, 'what is shown adds up');
    const ledger = await t.api('/v1/ledger');
    for (const [key, n] of Object.entries(shown)) {
      if (t.expected.exact) assert.equal(n, ledger.totals[key], key);
      else if (key !== 'in_flight') assert.ok(n <= ledger.totals[key], `${key}: ${n} shown, ${ledger.totals[key]} in the ledger`);
    }
    assert.equal(await page.locator('#verdict').getAttribute('data-balanced'), String(ledger.balanced));
    assert.deepEqual(await page.locator('tr[data-hour]').evaluateAll((rows) => rows.map((r) => r.dataset.hour)), ledger.rows.map((r) => r.hour).reverse());
    const time = page.locator('tr[data-hour] time').first();
    assert.match(await time.getAttribute('title'), / UTC$/);
  });
  await t.picture(page, 'pipeline');
  await accessible(page, 'the pipeline');

  await t.step('a database that is away shows', async () => {
    const doc = await t.api('/v1/pipeline');
    await page.route('**/v1/pipeline', (r) => r.fulfill({ json: { ...doc, database: { ok: false, latency_ms: 0 } } }));
    await page.locator('[data-box="database"][data-state="bad"]').waitFor();
    await page.context().close();
  });

  await t.step('on a phone', async () => {
    const phone = await t.visit(PHONE, '#/pipeline');
    await mounted(phone, 'pipeline');
    await phone.locator('#verdict').waitFor();
    await noSidewaysScroll(phone, 'the pipeline');
    await accessible(phone, 'the pipeline on a phone');
    await t.picture(phone, 'pipeline-phone');
    await phone.context().close();
  });
}
