// The map: what is drawn is what the tiles hold, and what the lists say is what the API says.
import assert from 'node:assert/strict';
import { PHONE, accessible, mounted, noSidewaysScroll, number, settled } from './browser.mjs';

const unique = (page, layer, key, value) => page.evaluate(([l, k, v]) => [...new Map(window.carassoMap.queryRenderedFeatures({ layers: [l] }).map((f) => [f.properties[k], f.properties[v]]))], [layer, key, value]);

// Small, since pixels are what a browser without a graphics card is slow at.
const WINDOW = { viewport: { width: 1040, height: 680 }, colorScheme: 'light', reducedMotion: 'reduce' };

/** A pixel where one of the layers has a feature that is clear of panel and legend, with that feature. */
const pixelOf = (page, layers, source) => page.evaluate(([ls, src]) => {
  const map = window.carassoMap;
  const box = map.getCanvas().getBoundingClientRect();
  for (let y = 60; y < box.height - 220; y += 4) {
    for (let x = 400; x < box.width - 60; x += 4) {
      const [f] = map.queryRenderedFeatures([x, y], { layers: ls });
      if (f?.source === src) return { x: x + box.left, y: y + box.top, p: f.properties };
    }
  }
  return null;
}, [layers, source]);

/** Shows all of the map again, after something was looked at closely. */
const overview = (page, camera) => page.evaluate(([center, zoom]) => window.carassoMap.jumpTo({ center, zoom }), camera);

const choose = async (page, mode, layer) => {
  await page.check(`input[name="mode"][value="${mode}"]`, { force: true });
  await settled(page, layer);
};

export async function run(t) {
  const { expected } = t;
  const page = await t.visit(WINDOW, '#/map');
  let camera;
  await mounted(page, 'map');

  await t.step('the map shows the roads and speeds of the tiles', async () => {
    await settled(page);
    const roads = await page.evaluate(() => window.carassoMap.queryRenderedFeatures({ layers: ['roads'] }).length);
    const speeds = await unique(page, 'speeds', 'edge', 'kmh');
    assert.ok(roads > 0, 'no roads');
    assert.ok(speeds.length > 0, 'no speeds');
    if (expected.speeds) assert.deepEqual(Object.fromEntries(speeds), expected.speeds);
    assert.match(await page.locator('#legend-title').textContent(), /Speed now/);
    assert.match(page.url(), /at=/, 'the place is in the address');
    camera = await page.evaluate(() => [window.carassoMap.getCenter().toArray(), window.carassoMap.getZoom()]);
  });

  await t.step('the slowest roads are listed, slowest first, and the keyboard opens them', async () => {
    const slow = page.locator('#slow li');
    await slow.first().waitFor();
    const shares = (await page.locator('#slow small').allTextContents()).map((s) => number(/(\d+) % of free flow/.exec(s)[1]));
    assert.deepEqual(shares, shares.toSorted((a, b) => a - b));
    await slow.first().locator('button').focus();
    await page.keyboard.press('Enter');
    await page.locator('#card-title').waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), 'card-title');
    assert.match(page.url(), /edge=\d+/);
    await page.keyboard.press('Escape');
    await page.locator('#card').waitFor({ state: 'hidden' });
    assert.equal(await page.evaluate(() => document.activeElement.id), 'list', 'the focus goes back to the list');
  });
  await overview(page, camera);
  await settled(page);
  await t.picture(page, 'map');
  await accessible(page, 'the map');

  await t.step('hazards are on the map and in the list, with their evidence', async () => {
    await page.click('#tab-hazards');
    const answer = await t.api('/v1/hazards');
    if (expected.hazards) {
      assert.deepEqual(Object.fromEntries(await unique(page, 'hazards', 'id', 'category')), expected.hazards);
      await page.locator('#hazards li').first().waitFor();
      assert.equal(await page.locator('#hazards li').count(), answer.features.length);
      const strongest = answer.features.toSorted((a, b) => b.properties.probability - a.properties.probability)[0].properties;
      await page.locator('#hazards button').first().click();
      await page.locator('#card-title').waitFor();
      for (const [fact, value] of Object.entries({ vehicles: strongest.vehicles, clean: strongest.clean, probability: `${Math.round(strongest.probability * 100)} %` })) {
        assert.equal(await page.locator(`#card [data-fact="${fact}"]`).textContent(), String(value), fact);
      }
      await accessible(page, 'a hazard');
      await page.keyboard.press('Escape');
      await overview(page, camera);
      await page.uncheck('#hazards-on');
      await page.waitForFunction(() => window.carassoMap.queryRenderedFeatures({ layers: ['hazards'] }).length === 0);
      await page.check('#hazards-on');
      await page.waitForFunction(() => window.carassoMap.queryRenderedFeatures({ layers: ['hazards'] }).length > 0);
    } else if (!answer.features.length) await page.getByText('No hazard in view').waitFor();
  });

  await t.step('limits that differ are listed as the API has them, and drawn', async () => {
    await page.click('#tab-limits');
    await settled(page, 'limits');
    assert.match(await page.locator('#legend-title').textContent(), /against the map/);
    if (expected.limits) {
      await page.locator('#differing li').first().waitFor();
      const answer = await t.api(`/v1/limits?bbox=${expected.bounds.join(',')}&differs=true`);
      assert.equal(await page.locator('#differing li').count(), Math.min(40, answer.features.length));
    }
    await choose(page, 'limits', 'limits');
    if (expected.limits) assert.deepEqual(Object.fromEntries(await unique(page, 'limits', 'edge', 'kmh')), expected.limits);
    assert.equal(await page.evaluate(() => window.carassoMap.queryRenderedFeatures({ layers: ['speeds'] }).length), 0, 'speeds are still drawn');
    await t.picture(page, 'limits');
    const target = await pixelOf(page, ['hazards', 'limits-reach'], 'limits');
    await page.mouse.click(target.x, target.y);
    const fact = page.locator('#card [data-fact="limit"]');
    await fact.waitFor();
    if (target.p.source === 'learned' && expected.exact) {
      assert.match(await fact.textContent(), new RegExp(`^${target.p.kmh} km/h \\(\\d+ %, ${target.p.n} cars\\)$`));
      assert.ok(await page.locator('.posterior li').count() > 0, 'no posterior');
    }
    await accessible(page, 'a road');
    await page.keyboard.press('Escape');
    await page.click('#tab-slow');
    await settled(page);
  });

  await t.step('a click on a road opens its card with its day and its week', async () => {
    const target = await pixelOf(page, ['speeds-reach'], 'speeds');
    assert.ok(target, 'no road to click on');
    await page.mouse.move(target.x, target.y);
    await page.locator('.tooltip').waitFor({ state: 'visible' });
    await page.mouse.click(target.x, target.y);
    await page.locator('#card .uplot, #card .profile[hidden]').first().waitFor({ state: 'attached' });
    const edge = Number(/edge=(\d+)/.exec(page.url())[1]);
    const doc = await t.api(`/v1/segments/${edge}/speeds`);
    const samples = await page.locator('#card [data-fact="samples"]').textContent();
    assert.match(samples, /^(over )?[\d.,KM]+$|^–$/);
    if (expected.exact) assert.match(samples, /^over /, 'samples of suppressed buckets are not known');
    if (doc.name) assert.equal(await page.locator('#card-title').textContent(), doc.name);
    await t.picture(page, 'road');
    const shown = doc.buckets.filter((b) => !b.suppressed);
    if (shown.length) {
      await page.locator('#card details summary').first().click();
      const first = page.locator('#card tbody tr').first();
      // The card was drawn at another moment, so that its newest row may be another one.
      const [at, median] = await first.evaluate((tr) => [Date.parse(tr.querySelector('time').dateTime), tr.cells[1].textContent]);
      const same = shown.find((b) => Date.parse(b.bucket) === at);
      if (expected.exact && same) assert.equal(number(median), Math.round(same.p50_kmh));
      await page.check('#card input[value="week"]', { force: true });
      await page.waitForFunction(() => document.querySelector('#card [data-fact="samples"]').previousSibling.textContent.includes('week'));
      const answer = page.waitForResponse((r) => r.url().includes('/profile'));
      await page.check('#card input[value="usual_day"]', { force: true });
      const profile = await (await answer).json();
      await page.waitForFunction(() => /Mean of the last|Nothing is usual/.test(document.querySelector('#card figure').textContent));
      const usual = profile.day.mean_kmh.some((v) => v !== null);
      assert.equal(await page.locator('#card .uplot').isVisible(), usual);
      if (usual) {
        await page.locator('#card tbody tr').first().waitFor(); // it was opened above, and stays so
        const [at, mean] = await page.locator('#card tbody tr').first().locator('td').allTextContents();
        const slot = Number(at.slice(0, 2)) * 12 + Number(at.slice(3)) / 5;
        const known = profile.day.mean_kmh.slice(slot, slot + 3).filter((v) => v !== null);
        assert.equal(number(mean), Math.round(known.reduce((a, b) => a + b) / known.length), 'the usual speed is the API\'s');
        await accessible(page, 'a road\'s usual day');
      }
      await page.check('#card input[value="usual_week"]', { force: true });
    }
    await page.keyboard.press('Escape');
  });

  await t.step('candidates for errors of the map are drawn and can be rejected', async () => {
    await page.click('#tab-errors');
    const { features } = await t.api('/v1/map-errors?status=open');
    if (!expected.exact) return;
    assert.equal(await page.locator('#candidates li').count(), features.length);
    await page.waitForFunction((n) => new Set(window.carassoMap.queryRenderedFeatures({ layers: ['errors', 'error-points'] }).map((f) => f.properties.id)).size === n, features.length);
    await page.locator('#candidates button').first().click();
    await page.locator('#card [data-fact="vehicles"]').waitFor();
    await t.picture(page, 'map-error');
    assert.equal(await page.locator('#card .button.primary').count(), 1, 'an operator may decide');
    let sent = null;
    await page.route('**/v1/map-errors/*/status', (r) => { sent = r.request().postDataJSON(); return r.continue(); });
    await page.getByRole('button', { name: 'Reject' }).click();
    await page.locator('#card').waitFor({ state: 'hidden' });
    assert.deepEqual(sent, { status: 'rejected' });
  });

  await t.step('a street is found by its name, with the keyboard', async () => {
    await page.click('#tab-slow');
    await overview(page, camera);
    await settled(page);
    const name = await page.evaluate(() => window.carassoMap.querySourceFeatures('roads', { sourceLayer: 'roads' }).find((f) => f.properties.name && f.geometry.type === 'LineString').properties.name);
    const { streets } = await t.api(`/v1/roads/search?q=${encodeURIComponent(name)}`);
    await page.fill('#search', name.toUpperCase());
    await page.locator('#found [role="option"]:not([aria-disabled])').first().waitFor();
    await page.keyboard.press('ArrowDown');
    assert.equal(await page.locator('#search').getAttribute('aria-activedescendant'), 'found-0');
    await page.keyboard.press('Enter');
    await page.locator('#card-title', { hasText: streets[0].name || streets[0].ref }).waitFor();
    await page.keyboard.press('Escape');
    await overview(page, camera);
    await settled(page);
  });

  await t.step('the slider shows what was driven then, and comes back to now', async () => {
    const asked = page.waitForResponse((r) => r.url().includes('/v1/segments?'));
    await page.focus('#past-slider');
    await page.keyboard.press('ArrowLeft');
    const doc = await (await asked).json();
    assert.match(page.url(), /time=/);
    const told = doc.features.filter((f) => !f.properties.suppressed && f.properties.free_kmh).length;
    if (told) await settled(page, 'past');
    assert.equal(await page.evaluate(() => window.carassoMap.queryRenderedFeatures({ layers: ['speeds'] }).length), 0, 'speeds of now are still drawn');
    await page.locator('#tab-slow', { hasText: 'Slow then' }).waitFor();
    if (t.expected.exact) {
      const seen = await unique(page, 'past', 'edge', 'kmh');
      for (const [edge, kmh] of seen) assert.equal(kmh, doc.features.find((f) => f.id === edge).properties.mean_kmh, `speed of ${edge} then`);
    }
    const few = doc.suppressed_count;
    const note = () => page.locator('.past .note').textContent();
    await page.waitForFunction(() => !document.querySelector('.past .note').hidden);
    if (few) assert.match(await note(), new RegExp(`^${few.toLocaleString('en')} stretch(es)? with fewer than ${doc.k} cars then`), 'what is missing is not told');
    assert.match(await note(), /Hazards are those of now/);
    await accessible(page, 'the past');
    await t.picture(page, 'past');

    // Back and forth, and a little aside, asks nothing anew.
    let requests = 0;
    page.on('request', (r) => { if (r.url().includes('/v1/segments?')) requests++; });
    const earlier = page.waitForResponse((r) => r.url().includes('/v1/segments?'));
    await page.keyboard.press('ArrowLeft');
    await earlier;
    await page.keyboard.press('ArrowRight');
    await page.waitForTimeout(600);
    await page.evaluate(() => new Promise((done) => { window.carassoMap.once('idle', done); window.carassoMap.panBy([40, 20], { duration: 0 }); }));
    await page.waitForTimeout(600);
    assert.equal(requests, 1, 'what was there already is asked for again');
    await page.click('#past-live');
    await settled(page);
  });

  await t.step('an answer that broke off says so', async () => {
    await page.route('**/v1/segments?*', async (r) => {
      const res = await r.fetch();
      await r.fulfill({ json: { ...await res.json(), next_cursor: '7' } });
    });
    await page.focus('#past-slider');
    for (let i = 0; i < 5; i++) await page.keyboard.press('ArrowLeft');
    await page.getByText('zoom in for the others').waitFor();
    await page.unroute('**/v1/segments?*');
    await page.click('#past-live');
    await settled(page);
  });

  await t.step('a refresh keeps the roads on the map', async () => {
    await page.click('#tab-slow');
    await overview(page, camera);
    await settled(page);
    const asked = page.waitForResponse((r) => r.url().includes('/v1/tiles/speeds/'));
    const watching = page.evaluate(() => new Promise((done) => {
      const look = () => { window.leastSeen = Math.min(window.leastSeen ?? Infinity, window.carassoMap.queryRenderedFeatures({ layers: ['speeds'] }).length); };
      window.carassoMap.on('render', look);
      window.carassoMap.once('sourcedataloading', () => window.carassoMap.once('idle', () => { look(); done(); }));
    }));
    await asked;
    await watching;
    assert.ok(await page.evaluate(() => window.leastSeen) > 0, 'the speeds vanished while refreshing');
  });

  await t.step('mph', async () => {
    await page.click('#units');
    await page.locator('#slow .value', { hasText: 'mph' }).first().waitFor();
    await page.click('#units');
    await page.click('#theme');
    await settled(page);
    await t.picture(page, 'map-dark');
    await accessible(page, 'the map in the dark');
    await page.context().close();
  });

  await t.step('on a phone', async () => {
    const phone = await t.visit(PHONE, '#/map');
    await mounted(phone, 'map');
    await settled(phone);
    await noSidewaysScroll(phone, 'the map');
    await accessible(phone, 'the map on a phone');
    await t.picture(phone, 'map-phone');
    await phone.context().close();
  });
}
