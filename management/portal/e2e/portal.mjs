// Opens the portal in a browser, view by view, and compares what it shows with the API and the tiles.
// usage: TOKEN=… node portal.mjs URL [PART…]   (env: EXPECTED=json, SCREENSHOTS=folder, CHROMIUM=path)
import assert from 'node:assert/strict';
import { open, portal } from './browser.mjs';

const PARTS = ['shell', 'map', 'trends', 'pipeline', 'vehicles', 'quarantine', 'jobs', 'webhooks', 'cost', 'audit'];

const [url, ...only] = process.argv.slice(2);
const token = process.env.TOKEN;
const browser = await open();
const t = portal(browser, url, token, JSON.parse(process.env.EXPECTED ?? '{}'));
try {
  for (const part of only.length ? only : PARTS) {
    const { run } = await import(`./${part}.mjs`);
    await run(t);
  }
  assert.deepEqual(t.problems, []);
  console.log('portal: all as expected');
} finally {
  await browser.close();
}
