// Trends: the table is the API's answer, the address holds the choice, a box is drawn on the map.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { DESKTOP, PHONE, accessible, mounted, noSidewaysScroll, number } from './browser.mjs';

const MEASURES = ['limits', 'hazards', 'fleet', 'sensors', 'coverage'];

export async function run(t) {
  const page = await t.visit(DESKTOP, '#/trends?compare=before');
  const answers = [];
  page.on('response', async (r) => { if (r.url().includes('/v1/trends/')) answers.push(r.json().catch(() => null)); });
  await mounted(page, 'trends');
  const rows = page.locator('section[aria-label="Result"] tbody tr');
  const result = page.locator('section[aria-label="Result"] table, section[aria-label="Result"] .state');

  /** Opens a choice; resolves with what the API answered. */
  const choose = async (hash) => {
    const asked = page.waitForResponse((r) => r.url().includes('/v1/trends/') && r.ok());
    await page.evaluate((to) => { location.hash = to; }, hash);
    const doc = await (await asked).json();
    await page.locator('section[aria-label="Result"]:not([aria-busy])').waitFor();
    return doc;
  };
  const cells = (row) => row.locator('td').allTextContents();

  await t.step('chart and table show what the API answered', async () => {
    await result.first().waitFor();
    if (!await rows.count()) return;
    await page.locator('.trend .uplot').waitFor();
    const doc = await answers.at(-1);
    assert.equal(await page.locator('[data-groups]').getAttribute('data-groups'), String(doc.groups.length));
    assert.equal(await page.locator('[data-withheld]').getAttribute('data-withheld'), String(doc.suppressed_count), 'withheld groups are told');
    const ends = await page.locator('[data-withheld] time').allTextContents();
    assert.ok(ends.slice(0, 2).every((end) => /[A-Za-z]/.test(end)), `a day's period names both days: ${ends}`);
    const newest = doc.groups.at(-1);
    const shown = await cells(rows.first());
    const kmh = (v) => (v === null || v === undefined ? '–' : String(Math.round(v)));
    assert.deepEqual(shown.slice(1, 3), [kmh(newest.mean_kmh), kmh(newest.compare?.mean_kmh)]);
    const right = await rows.first().locator('td').nth(1).evaluate((td) => getComputedStyle(td).textAlign);
    assert.equal(right, 'right', 'numbers are right aligned');
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

  for (const measure of MEASURES) {
    await t.step(`${measure}: the table is the API's`, async () => {
      const doc = await choose(`#/trends?measure=${measure}&period=month`);
      const told = doc.changes ?? doc.groups.filter((g) => !g.suppressed);
      if (!told.length) {
        await page.locator('section[aria-label="Result"] .state').waitFor();
        return;
      }
      assert.equal(await page.locator('.tall tbody tr').count(), Math.min(200, (doc.changes ?? doc.groups).length));
      const shown = await cells(rows.first());
      if (measure === 'hazards') {
        const newest = doc.groups.at(-1);
        assert.deepEqual(shown.slice(2, 4), [String(newest.hazards), String(newest.active)]);
        assert.ok(await page.locator('.trend .uplot').count(), 'drawn as bars');
      } else if (measure === 'fleet') {
        const newest = doc.groups.at(-1);
        assert.deepEqual(shown.slice(1).map(number), [newest.vehicles_at_least, newest.km, newest.batches, newest.samples].map((v) => Math.round(v)));
      } else if (measure === 'sensors') {
        assert.deepEqual(shown.slice(0, 2), [doc.groups[0].model, doc.groups[0].software]);
        const share = doc.groups[0].sign_disagreement.share;
        assert.equal(shown[2], share === null ? '–' : `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %`);
      } else if (measure === 'coverage') {
        assert.equal(shown[3], doc.groups[0].segments === null ? '–' : doc.groups[0].segments.toLocaleString('en'));
        assert.equal(number(shown[6]), doc.groups[0].map_segments);
        assert.equal(await page.locator('section[aria-label="Result"] .scroll').count(), 2, 'how long ago is told too');
      } else {
        const newest = doc.changes.toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at))[0];
        assert.equal(await rows.first().locator('time').getAttribute('datetime'), new Date(newest.at).toISOString());
        assert.equal(shown[4], newest.to_kmh === null ? '–' : newest.to_kmh === 255 ? 'no limit' : `${newest.to_kmh} km/h`);
      }
      assert.match(page.url(), new RegExp(`measure=${measure}`));
      await t.picture(page, `trends-${measure}`);
      await accessible(page, `trends of ${measure}`);
    });
  }

  await t.step('hazards by place lead to the map', async () => {
    const doc = await choose('#/trends?measure=hazards&along=none&split=tile&period=month');
    if (!doc.groups.length) return;
    assert.equal(await page.locator('.bars li').count(), Math.min(20, doc.groups.length));
    assert.match(await rows.first().locator('a').getAttribute('href'), /#\/map\?.*at=[\d.-]+,[\d.-]+,12/);
  });

  await t.step('a box that is drawn limits the area', async () => {
    await choose('#/trends?area=box');
    await page.waitForFunction(() => window.carassoAreaMap?.loaded());
    await page.locator('.area-map').scrollIntoViewIfNeeded();
    const box = await page.locator('.area-map canvas').boundingBox();
    const asked = page.waitForRequest((r) => /bbox=[\d.]+%2C/.test(r.url()) && r.url().includes('/v1/trends/'));
    await page.mouse.move(box.x + box.width * 0.3, box.y + box.height * 0.3);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.7, box.y + box.height * 0.7);
    await page.mouse.up();
    await asked;
    const [w, s, e, n] = (await page.locator('#bbox').inputValue()).split(',').map(number);
    assert.ok(w < e && s < n);
    assert.match(page.url(), /area=box&bbox=/);
  });

  await t.step('a polygon that is drawn limits the area', async () => {
    await page.selectOption('select[name="area"]', 'polygon');
    await page.locator('#polygon').waitFor();
    await page.locator('.area-map').scrollIntoViewIfNeeded();
    const box = await page.locator('.area-map canvas').boundingBox();
    const at = (x, y) => page.mouse.click(box.x + box.width * x, box.y + box.height * y);
    const asked = page.waitForRequest((r) => r.url().includes('polygon=') && r.url().includes('/v1/trends/'));
    await at(0.2, 0.2);
    await at(0.8, 0.25);
    await at(0.5, 0.8);
    await at(0.2, 0.2); // the first corner closes it
    const polygon = JSON.parse(new URL((await asked).url()).searchParams.get('polygon'));
    assert.equal(polygon.coordinates[0].length, 4);
    assert.equal((await page.locator('#polygon').inputValue()).split(';').length, 3);
    await page.waitForFunction(() => window.carassoAreaMap.queryRenderedFeatures({ layers: ['area'] }).length > 0);
  });

  await t.step('a street is an area', async () => {
    await page.selectOption('select[name="area"]', 'street');
    const field = page.locator('.place #search');
    const { streets } = await t.api('/v1/roads/search?q=a');
    if (!streets.length) return;
    const asked = page.waitForRequest((r) => r.url().includes('edges=') && r.url().includes('/v1/trends/'));
    await field.fill(streets[0].name || streets[0].ref);
    await page.locator('#found [role="option"]:not([aria-disabled])').first().waitFor();
    await field.press('Enter');
    assert.ok(new URL((await asked).url()).searchParams.get('edges').split(',').length > 0);
    assert.match(page.url(), /street=/);
    await accessible(page, 'a street in trends');
  });

  await t.step('the link tells the same tomorrow', async () => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await choose('#/trends?split=class&compare=day');
    if (!await rows.count()) return;
    await page.getByRole('button', { name: 'Copy link' }).click();
    const link = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(link, /period=custom/);
    assert.match(link, /from=\d{4}-.*&to=\d{4}-/);
    assert.match(link, /compare=own/);
    assert.match(link, /compare_from=\d{4}-/);
    const doc = await choose(new URL(link).hash);
    assert.equal(doc.from, new Date(new URLSearchParams(link.split('?')[1]).get('from')).toISOString().replace('.000Z', 'Z'));
  });

  await t.step('files hold all that the API has', async () => {
    if (!await rows.count()) return;
    const shown = Number(await page.locator('[data-groups]').getAttribute('data-groups'));
    for (const [name, extension] of [['CSV', 'csv'], ['GeoJSON', 'geojson'], ['Parquet', 'parquet']]) {
      const download = page.waitForEvent('download');
      await page.getByRole('button', { name: `Save as ${name}` }).click();
      const file = await download;
      assert.match(file.suggestedFilename(), new RegExp(`^carasso-speeds-.*\\.${extension}$`));
      const bytes = readFileSync(await file.path());
      if (extension === 'csv') assert.ok(bytes.toString().trim().split('\n').length >= shown, 'every group is in it');
      if (extension === 'geojson') assert.equal(JSON.parse(bytes).type, 'FeatureCollection');
      if (extension === 'parquet') assert.equal(bytes.subarray(0, 4).toString(), 'PAR1');
      await page.getByText(`The ${name} file is saved.`).waitFor();
    }
    await page.route('**/v1/trends/*format=csv*', (r) => r.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"title":"Busy","status":503,"detail":"Too many exports are running."}' }));
    await page.getByRole('button', { name: 'Save as CSV' }).click();
    await page.getByText('No file: Too many exports are running.').waitFor();
  });

  await t.step('nothing and no answer are told', async () => {
    await choose('#/trends?period=custom&from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z').catch(() => {});
    await page.locator('section[aria-label="Result"] .state, section[aria-label="Result"] table').first().waitFor();
    await page.route('**/v1/trends/fleet*', (r) => r.fulfill({ status: 503, contentType: 'application/problem+json', body: '{"title":"Away","status":503,"detail":"The data is out of reach at the moment."}' }));
    await page.evaluate(() => { location.hash = '#/trends?measure=fleet'; });
    await page.getByText('The data is out of reach at the moment.').waitFor();
    await page.unroute('**/v1/trends/fleet*');
    await page.getByRole('button', { name: 'Try again' }).click();
    await result.first().waitFor();
  });
  await page.context().close();

  await t.step('on a phone', async () => {
    const phone = await t.visit(PHONE, '#/trends');
    await mounted(phone, 'trends');
    await phone.locator('section[aria-label="Result"] table, section[aria-label="Result"] .state').first().waitFor();
    await noSidewaysScroll(phone, 'trends');
    await accessible(phone, 'trends on a phone');
    await t.picture(phone, 'trends-phone');
    await phone.context().close();
  });
}
