// Measures how long the portal takes from navigation to its views, on a quiet machine; nothing is asserted.
// usage: TOKEN=… node measure.mjs URL [RUNS]   (env: CHROMIUM=path)
import { open } from './browser.mjs';

const VIEWS = ['map', 'trends', 'pipeline', 'vehicles', 'quarantine', 'jobs', 'webhooks', 'cost', 'audit'];
const [url, runs = '5'] = process.argv.slice(2);

/** What makes a view useful: the map when roads are drawn, others when what they are about is there. */
const READY = {
  map: () => window.carassoMap?.getSource('roads') && window.carassoMap.isSourceLoaded('roads') && window.carassoMap.queryRenderedFeatures({ layers: ['roads'] }).length > 0,
  other: () => document.querySelector('.view[data-ready]') && !document.querySelector('.view .skeleton'),
};

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
const browser = await open();
for (const view of VIEWS) {
  const cold = [];
  const warm = [];
  for (let i = 0; i < Number(runs); i++) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    await context.addInitScript((token) => sessionStorage.setItem('carasso-token', token), process.env.TOKEN ?? '');
    const page = await context.newPage();
    for (const times of [cold, warm]) {
      if (times === warm) await page.goto('about:blank');
      await page.goto(`${url}/#/${view}`, { waitUntil: 'commit' });
      await page.waitForFunction(READY[view] ?? READY.other, null, { polling: 50, timeout: 60_000 });
      times.push(await page.evaluate(() => performance.now()));
    }
    await context.close();
  }
  console.log(`${view.padEnd(11)} first visit ${Math.round(median(cold))} ms, again ${Math.round(median(warm))} ms (medians of ${runs})`);
}
await browser.close();
