// Starts the system's chromium the way the tests need it.
import { chromium } from 'playwright-core';

export const open = () => chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-dev-shm-usage', '--force-color-profile=srgb'],
});

/** Resolves when the map shows speeds and rests. */
export async function settled(page) {
  await page.waitForFunction(() => window.carassoMap?.loaded() && window.carassoMap.getLayer('speeds')
    && window.carassoMap.queryRenderedFeatures({ layers: ['speeds'] }).length > 0, null, { timeout: 60_000, polling: 200 });
  await page.evaluate(() => new Promise((done) => {
    window.carassoMap.once('idle', () => done());
    window.carassoMap.triggerRepaint();
  }));
}
