// The frame around the views: token, navigation, theme, units, keyboard, phones.
import assert from 'node:assert/strict';
import { DESKTOP, PHONE, accessible, mounted, noSidewaysScroll, settled, theme } from './browser.mjs';

export async function run(t) {
  const page = await t.visit(DESKTOP, `#token=${t.token}`, { signedIn: false });

  await t.step('the token leaves the address bar and stays in the session', async () => {
    await page.waitForFunction(() => sessionStorage.getItem('carasso-token'));
    assert.ok(!page.url().includes('token'), page.url());
    assert.equal(await page.evaluate(() => sessionStorage.getItem('carasso-token')), t.token);
    assert.match(page.url(), /#\/map/);
  });

  await t.step('the line at the top says whether all is well', async () => {
    await page.waitForFunction(() => document.getElementById('balance')?.dataset.balanced !== undefined);
    const ledger = await t.api('/v1/ledger');
    const balanced = await page.locator('#balance').getAttribute('data-balanced');
    if (t.expected.exact) assert.equal(balanced, String(ledger.balanced && ledger.crosscheck.consistent));
    assert.equal(await page.locator('#status').textContent(), 'Live');
    assert.match(await page.locator('[data-figure="accepted"]').textContent(), /^[\d.,KM]+$/);
  });

  await t.step('the keyboard alone skips, walks the views and opens one', async () => {
    await mounted(page, 'map');
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'skip');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
    assert.match(page.url(), /#\/map/, 'skipping must not leave the view');
    const views = page.locator('#views li:not([hidden]) a');
    await views.first().focus();
    for (let i = 1; i < await views.count(); i++) {
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      const id = await views.nth(i).getAttribute('data-view');
      await mounted(page, id);
      assert.equal(await views.nth(i).getAttribute('aria-current'), 'page');
      assert.equal(await page.evaluate(() => document.activeElement.id), 'main', 'the focus goes to the view');
      assert.equal(await page.locator('h1').count(), 1, `${id} has one heading of the first level`);
      await views.nth(i).focus();
    }
    await page.evaluate(() => { location.hash = '#/pipeline'; });
    await mounted(page, 'pipeline');
  });

  await t.step('theme and units stay when the page is loaded again', async () => {
    await page.click('#theme');
    assert.equal(await theme(page), 'dark');
    await page.click('#units');
    await page.reload();
    await mounted(page, 'pipeline');
    assert.equal(await theme(page), 'dark');
    assert.equal(await page.locator('#units').textContent(), 'mph');
    await page.context().close();
  });

  await t.step('without a token the map is there, and the rest says how to get one', async () => {
    const bare = await t.visit(PHONE, '', { signedIn: false });
    await settled(bare);
    assert.equal(await bare.locator('#status').textContent(), 'No token');
    await bare.evaluate(() => { location.hash = '#/pipeline'; });
    const form = bare.locator('[data-state="sign-in"]');
    await form.waitFor();
    assert.equal(await form.locator('code').textContent(), 'carasso token --role analyst');
    await accessible(bare, 'the request for a token');
    await noSidewaysScroll(bare, 'the request for a token');
    await bare.fill('#token', 'not-a-token');
    await bare.waitForTimeout(6000); // as long as somebody needs to compare it
    assert.equal(await bare.inputValue('#token'), 'not-a-token', 'nothing wipes what is typed');
    await form.locator('button').click();
    await bare.locator('[data-state="sign-in"] .error').waitFor();
    await bare.fill('#token', t.token);
    await form.locator('button').click();
    await bare.waitForFunction(() => document.getElementById('status').textContent === 'Live');

    await bare.route('**/v1/pipeline', (r) => r.abort());
    await bare.waitForFunction(() => document.getElementById('status').textContent === 'Server away');
    await bare.unroute('**/v1/pipeline');
    await bare.waitForFunction(() => document.getElementById('status').textContent === 'Live');
    await bare.context().close();
  });

  await t.step('a token that expired is told from one that is wrong', async () => {
    const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
    const stale = `${part({ alg: 'EdDSA' })}.${part({ role: 'analyst', exp: 1_700_000_000 })}.AAAA`;
    const late = await t.visit(DESKTOP, `#token=${stale}`, { signedIn: false });
    await late.waitForFunction(() => sessionStorage.getItem('carasso-token'));
    await late.evaluate(() => { location.hash = '#/pipeline'; });
    await late.getByText('Your token has expired').waitFor();
    await late.context().close();
  });
}
