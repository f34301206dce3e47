// Jobs: the history is the API's; a job is started with its arguments, cancelled, tried again.
import assert from 'node:assert/strict';
import { DESKTOP, PHONE, accessible, mounted, noSidewaysScroll } from './browser.mjs';

export async function run(t) {
  const page = await t.visit(DESKTOP, '#/jobs');
  await mounted(page, 'jobs');

  await t.step('kinds and history are the API\'s', async () => {
    await page.locator('[data-kind]').first().waitFor();
    const { kinds } = await t.api('/v1/job-kinds');
    assert.deepEqual(await page.locator('[data-kind]').evaluateAll((ks) => ks.map((k) => k.dataset.kind)), kinds.map((k) => k.name));
    if (!t.expected.exact) return;
    await page.locator('tr[data-job]').first().waitFor();
    const { jobs } = await t.api('/v1/jobs');
    assert.deepEqual(await page.locator('tr[data-job]').evaluateAll((rows) => rows.map((r) => [r.dataset.job, r.querySelector('[data-state]').dataset.state])), jobs.map((j) => [j.id, j.state]));
    const running = jobs.find((j) => j.progress.total && j.state === 'running');
    assert.equal(await page.locator(`tr[data-job="${running.id}"] [role="progressbar"]`).getAttribute('aria-valuenow'), String(Math.round((100 * running.progress.done) / running.progress.total)));
    await page.locator(`tr[data-job="${jobs[1].id}"] .link-button`).click();
    await page.locator('#job #card-title').waitFor();
    assert.match(page.url(), new RegExp(`job=${jobs[1].id}`));
  });
  await t.picture(page, 'jobs');
  await accessible(page, 'jobs');

  await t.step('a job is started by the keyboard with its arguments', async () => {
    if (!t.expected.exact) return;
    await page.keyboard.press('Escape');
    const kind = page.locator('[data-kind]').first();
    await kind.locator('summary').focus();
    await page.keyboard.press('Enter');
    const box = kind.locator('input[type="checkbox"]').first();
    await box.focus();
    await page.keyboard.press('Space');
    const request = page.waitForRequest((r) => r.url().endsWith('/v1/jobs') && r.method() === 'POST');
    await kind.locator('button[type="submit"]').focus();
    await page.keyboard.press('Enter');
    const body = (await request).postDataJSON();
    assert.equal(body.kind, await kind.getAttribute('data-kind'));
    assert.ok(Object.values(body.args).includes(true), JSON.stringify(body));
    const cancel = page.waitForRequest((r) => r.url().endsWith('/cancel'));
    await page.getByRole('button', { name: /^Cancel / }).first().click();
    await cancel;
    const retry = page.waitForRequest((r) => r.url().endsWith('/retry'));
    await page.getByRole('button', { name: /^Retry / }).first().click();
    await retry;
  });
  await page.context().close();

  await t.step('on a phone', async () => {
    const phone = await t.visit(PHONE, '#/jobs');
    await mounted(phone, 'jobs');
    await phone.locator('[data-kind]').first().waitFor();
    await noSidewaysScroll(phone, 'jobs');
    await accessible(phone, 'jobs on a phone');
    await phone.context().close();
  });
}
