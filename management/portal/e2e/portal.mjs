// Opens the portal in a browser and looks at what it shows.
// usage: node portal.mjs URL TOKEN   (env: SCREENSHOT=file.png, CHROMIUM=path)
// Its figures are compared with the API's, the map's with what the tiles hold.
import assert from 'node:assert/strict';
import { open, settled } from './browser.mjs';

const [url, token] = process.argv.slice(2);
const expected = JSON.parse(process.env.EXPECTED ?? '{}');
const browser = await open();
const problems = [];

async function visit(options, hash) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on('pageerror', (e) => problems.push(`page error: ${e.message}`));
  page.on('console', (m) => {
    // A browser reports an answer that is an error by itself.
    if (m.type() === 'error' && !/Failed to load resource/.test(m.text())) problems.push(`console: ${m.text()}`);
  });
  page.on('request', (r) => {
    if (!r.url().startsWith(url) && !/^(blob|data):/.test(r.url())) problems.push(`request elsewhere: ${r.url()}`);
  });
  await page.goto(url + hash, { waitUntil: 'domcontentloaded' });
  return page;
}

const api = async (path) => (await fetch(url + path, { headers: { Authorization: `Bearer ${token}` } })).json();
const text = (page, figure) => page.locator(`[data-figure="${figure}"]`).textContent();
const number = (s) => Number(s.replaceAll(',', ''));

async function step(name, f) {
  const started = Date.now();
  await f();
  console.log(`ok ${name} (${Date.now() - started} ms)`);
}

try {
  const page = await visit({ viewport: { width: 1280, height: 800 }, colorScheme: 'light', reducedMotion: 'reduce' }, `/#token=${token}`);

  await step('the token leaves the address bar and stays in the session', async () => {
    await page.waitForFunction(() => sessionStorage.getItem('carasso-token'));
    assert.ok(!page.url().includes('token'), page.url());
    assert.equal(await page.evaluate(() => sessionStorage.getItem('carasso-token')), token);
  });

  await step('the map shows the roads and speeds of the tiles', async () => {
    await settled(page);
    const seen = await page.evaluate(() => {
      const unique = (layer, key) => [...new Map(window.carassoMap.queryRenderedFeatures({ layers: [layer] }).map((f) => [key(f), f.properties])).entries()];
      return { speeds: unique('speeds', (f) => f.properties.edge), roads: unique('roads', (f) => f.id).length };
    });
    assert.ok(seen.roads > 0, 'no roads');
    assert.ok(seen.speeds.length > 0, 'no speeds');
    if (expected.speeds) {
      assert.equal(seen.speeds.length, Object.keys(expected.speeds).length, 'edges on the map');
      for (const [edge, p] of seen.speeds) assert.equal(p.kmh, expected.speeds[edge], `speed of ${edge}`);
    }
  });

  await step('the figures are the API\'s', async () => {
    await page.waitForFunction(() => document.getElementById('balance').dataset.balanced !== undefined);
    const ledger = await api('/v1/ledger');
    for (const name of ['archived', 'duplicate', 'quarantined']) {
      const shown = number(await text(page, `ledger-${name}`));
      assert.ok(shown <= ledger.totals[name], `${name}: ${shown} on the page, ${ledger.totals[name]} in the ledger`);
      if (expected.exact) assert.equal(shown, ledger.totals[name], name);
    }
    if (expected.exact) assert.equal(await page.locator('#balance').getAttribute('data-balanced'), String(ledger.balanced));
    if (expected.backlog !== undefined) assert.equal(number(await text(page, 'backlog')), expected.backlog);
    assert.match(await text(page, 'accepted'), /^[\d.,KM]+$/);
    assert.match(await text(page, 'p95'), /^[\d.]+(ms|s|min|h)$|^–$/);
    assert.equal(await page.locator('#status').textContent(), 'Live');
  });

  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });

  await step('hazards are on the map and in the list', async () => {
    const seen = await page.evaluate(() => [...new Map(window.carassoMap.queryRenderedFeatures({ layers: ['hazards'] }).map((f) => [f.properties.id, f.properties.category]))]);
    if (expected.hazards) assert.deepEqual(Object.fromEntries(seen), expected.hazards);
    assert.equal(await page.locator('#hazards button').count(), Math.min(seen.length, 6));
    if (!seen.length) return;
    assert.equal(Number(await page.locator('#hazard-count').textContent()), seen.length);
    await page.uncheck('#hazards-on');
    await page.waitForFunction(() => window.carassoMap.queryRenderedFeatures({ layers: ['hazards'] }).length === 0);
    await page.check('#hazards-on');
    await page.waitForFunction(() => window.carassoMap.queryRenderedFeatures({ layers: ['hazards'] }).length > 0);
  });

  await step('the roads can be coloured by limit', async () => {
    await page.check('input[name="view"][value="limits"]', { force: true });
    await page.waitForFunction(() => window.carassoMap.queryRenderedFeatures({ layers: ['limits'] }).length > 0, null, { polling: 200 });
    const seen = await page.evaluate(() => ({
      limits: [...new Map(window.carassoMap.queryRenderedFeatures({ layers: ['limits'] }).map((f) => [f.properties.edge, f.properties.kmh]))],
      speeds: window.carassoMap.queryRenderedFeatures({ layers: ['speeds'] }).length,
    }));
    assert.equal(seen.speeds, 0, 'speeds are still drawn');
    if (expected.limits) assert.deepEqual(Object.fromEntries(seen.limits), expected.limits);
    assert.match(await page.locator('#legend-title').textContent(), /limit/);
    const target = await page.evaluate(() => {
      const map = window.carassoMap;
      const { width, height } = map.getCanvas().getBoundingClientRect();
      for (let y = 120; y < height - 150; y += 4) {
        for (let x = 440; x < width - 60; x += 4) {
          const [f] = map.queryRenderedFeatures([x, y], { layers: ['hazards', 'limits-reach'] });
          if (f?.source === 'limits') return { x, y, p: f.properties };
        }
      }
      return null;
    });
    await page.mouse.click(target.x, target.y);
    const fact = page.locator('#segment [data-fact="limit"]');
    await fact.waitFor();
    if (target.p.source === 'learned') assert.match(await fact.textContent(), new RegExp(`^${target.p.kmh} \\(${Math.round(target.p.posterior * 100)} %, ${target.p.n} vehicles\\)$`));
    await page.keyboard.press('Escape');
    if (process.env.SCREENSHOT_LIMITS) await page.screenshot({ path: process.env.SCREENSHOT_LIMITS });
    await page.check('input[name="view"][value="speeds"]', { force: true });
    await settled(page);
  });

  await step('a click on a road opens its card with its profile', async () => {
    const target = await page.evaluate(() => {
      const map = window.carassoMap;
      const { width, height } = map.getCanvas().getBoundingClientRect();
      for (let y = 120; y < height - 150; y += 4) {
        for (let x = 440; x < width - 60; x += 4) {
          const f = map.queryRenderedFeatures([x, y], { layers: ['speeds-reach'] })[0];
          if (f) return { x, y, edge: f.properties.edge };
        }
      }
      return null;
    });
    assert.ok(target, 'no road to click on');
    await page.mouse.move(target.x, target.y);
    await page.locator('#tooltip').waitFor({ state: 'visible' });
    await page.mouse.click(target.x, target.y);
    await page.locator('#segment .uplot, #segment .profile[hidden]').first().waitFor({ state: 'attached' });
    const doc = await api(`/v1/segments/${target.edge}/speeds`);
    const samples = await page.locator('#segment [data-fact="samples"]').textContent();
    assert.match(samples, /^(over )?[\d.,KM]+$|^–$/);
    if (expected.exact) assert.match(samples, /^over /, 'samples of suppressed buckets are not known');
    if (doc.name) assert.equal(await page.locator('#segment-name').textContent(), doc.name);
    if (doc.limit_kmh) assert.equal(await page.locator('#segment .sign').textContent(), String(doc.limit_kmh));
    await page.keyboard.press('Escape');
    await page.locator('#segment').waitFor({ state: 'hidden' });
  });

  await step('the keyboard reaches the slowest roads', async () => {
    const first = page.locator('#slow button').first();
    await first.focus();
    await page.keyboard.press('Enter');
    await page.locator('#segment').waitFor({ state: 'visible' });
    await page.locator('#segment .icon-button').click();
  });

  await step('a refresh keeps the roads on the map', async () => {
    let refreshed = 0;
    page.on('response', (r) => { if (r.url().includes('/v1/tiles/speeds/')) refreshed++; });
    await page.waitForFunction(() => {
      window.leastSeen = Math.min(window.leastSeen ?? Infinity, window.carassoMap.queryRenderedFeatures({ layers: ['speeds'] }).length);
      return (window.polls = (window.polls ?? 0) + 1) > 25;
    }, null, { polling: 200 });
    assert.ok(refreshed > 0, 'no tile was asked for again');
    assert.ok(await page.evaluate(() => window.leastSeen) > 0, 'the speeds vanished while refreshing');
  });

  await step('dark and light', async () => {
    await page.click('#theme');
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
    await settled(page);
  });

  await page.context().close();

  await step('without a token the map is there and the figures say how', async () => {
    const bare = await visit({ viewport: { width: 390, height: 844 }, colorScheme: 'dark', reducedMotion: 'reduce' }, '/');
    await settled(bare);
    assert.equal(await bare.locator('#sign-in code').textContent(), 'carasso token --role analyst');
    await bare.click('#sheet');
    await bare.fill('#token', 'not-a-token');
    await bare.click('#sign-in button');
    await bare.locator('#sign-in-why.error').waitFor({ state: 'visible' });
    await bare.fill('#token', token);
    await bare.click('#sign-in button');
    await bare.locator('#figures').waitFor({ state: 'visible' });

    await bare.route('**/v1/pipeline', (r) => r.abort());
    await bare.waitForFunction(() => document.getElementById('status').textContent === 'Server away');
    await bare.unroute('**/v1/pipeline');
    await bare.waitForFunction(() => document.getElementById('status').textContent === 'Live', null, { timeout: 30_000 });
    await bare.context().close();
  });

  assert.deepEqual(problems, []);
  console.log('portal: all as expected');
} finally {
  await browser.close();
}
