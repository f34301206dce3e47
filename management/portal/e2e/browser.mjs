// Starts the system's chromium the way the tests need it, and what every part of them does.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export const open = () => chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-dev-shm-usage', '--force-color-profile=srgb'],
});

// A machine that does much else draws maps slowly.
const PATIENCE_MS = 90_000;

export const DESKTOP = { viewport: { width: 1280, height: 800 }, colorScheme: 'light', reducedMotion: 'reduce' };
export const PHONE = { viewport: { width: 390, height: 844 }, colorScheme: 'dark', reducedMotion: 'reduce', hasTouch: true };

/** What the tests of a portal at url share: pages that are watched for errors, the API, steps. */
export function portal(browser, url, token, expected) {
  const problems = [];
  const t = {
    url, token, expected, problems,
    /** A new page in a context of its own. */
    async visit(options, hash, { signedIn = true, as = token } = {}) {
      const context = await browser.newContext(options);
      if (signedIn) await context.addInitScript((tk) => sessionStorage.setItem('carasso-token', tk), as);
      context.setDefaultTimeout(PATIENCE_MS);
      const page = await context.newPage();
      page.on('pageerror', (e) => problems.push(`page error at ${hash}: ${e.message}`));
      page.on('console', (m) => {
        // A browser reports an answer that is an error by itself.
        if (m.type() === 'error' && !/Failed to load resource/.test(m.text())) problems.push(`console at ${hash}: ${m.text()}`);
        if (m.text().includes(token) || (expected.admin && m.text().includes(expected.admin))) problems.push(`the token was logged at ${hash}`);
      });
      page.on('request', (r) => {
        if (!r.url().startsWith(url) && !/^(blob|data):/.test(r.url())) problems.push(`request elsewhere: ${r.url()}`);
        if (r.url().includes(token)) problems.push('the token is in a URL');
      });
      await page.goto(`${url}/${hash}`, { waitUntil: 'domcontentloaded' });
      return page;
    },
    async api(path) {
      const res = await fetch(url + path, { headers: { Authorization: `Bearer ${token}` } });
      assert.ok(res.ok, `${path}: ${res.status}`);
      return res.json();
    },
    async step(name, f) {
      const started = Date.now();
      await f();
      console.log(`ok ${name} (${Date.now() - started} ms)`);
    },
    /** Writes a picture into the folder SCREENSHOTS, if there is one. */
    async picture(page, name) {
      if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}.png` });
    },
  };
  return t;
}

/** Resolves when the view is there. */
export const mounted = (page, view) => page.locator(`.view-${view}[data-ready]`).waitFor();

/** Resolves when the map shows what it should and rests. */
export async function settled(page, layer = 'speeds') {
  await page.waitForFunction((l) => window.carassoMap?.loaded() && window.carassoMap.getLayer(l)
    && window.carassoMap.queryRenderedFeatures({ layers: [l] }).length > 0, layer, { polling: 200 });
  await page.evaluate(() => new Promise((done) => {
    window.carassoMap.once('idle', () => done());
    window.carassoMap.triggerRepaint();
  }));
}

/** Fails with what axe finds wrong by WCAG 2.2 AA and best practices. */
export async function accessible(page, what) {
  await page.evaluate(axeSource); // not a <script>, which the page's policy forbids
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  const found = violations.map((v) => `${v.id} (${v.impact}): ${v.help}\n    ${v.nodes.slice(0, 4).map((n) => `${n.target.join(' ')}: ${n.any.concat(n.all, n.none).map((c) => c.message).join('; ')}`).join('\n    ')}`);
  assert.equal(found.length, 0, `axe on ${what}:\n  ${found.join('\n  ')}`);
}

/** Fails when the page, or the view in it, can be scrolled sideways. */
export async function noSidewaysScroll(page, what) {
  const wide = await page.evaluate(() => [document.documentElement, document.getElementById('main')].filter((e) => e.scrollWidth > e.clientWidth).map((e) => `${e.tagName} ${e.scrollWidth} > ${e.clientWidth}`));
  assert.deepEqual(wide, [], `${what} scrolls sideways`);
}

export const number = (s) => Number(s.replaceAll(',', ''));

export const theme = (page) => page.evaluate(() => document.documentElement.dataset.theme);
