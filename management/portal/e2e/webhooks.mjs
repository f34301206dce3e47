// Webhooks: one is made, its secret is shown once and verifies what is sent, failures are told with their error, and it
// is paused, resumed and deleted. A receiver of this test's own is what they are sent to.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { DESKTOP, PHONE, accessible, mounted, noSidewaysScroll } from './browser.mjs';

/** A subscriber's server: it refuses each event twice, and tests at /closed always. */
async function receive() {
  const got = [];
  const tries = new Map();
  const server = createServer(async (req, res) => {
    let body = '';
    for await (const chunk of req) body += chunk;
    const id = req.headers['webhook-id'];
    tries.set(id, (tries.get(id) ?? 0) + 1);
    const taken = req.url !== '/closed' && tries.get(id) > 2;
    got.push({ id, headers: req.headers, body, taken });
    res.writeHead(taken ? 204 : 503).end();
  });
  await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
  return { got, url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** Whether the signature is by the secret, as a receiver would see for itself. */
function verifies({ headers, body }, secret) {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  const want = `v1,${createHmac('sha256', key).update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`).digest('base64')}`;
  return headers['webhook-signature'].split(' ').includes(want);
}

export async function run(t) {
  const page = await t.visit(DESKTOP, '#/webhooks');
  await mounted(page, 'webhooks');

  await t.step('without a webhook the view says what one is for', async () => {
    await page.locator('#webhooks .state, #webhooks table').first().waitFor();
    const { webhooks } = await t.api('/v1/webhooks');
    assert.equal(await page.locator('tr[data-webhook]').count(), webhooks.length);
    if (!webhooks.length) await page.getByText('Nobody is told yet').waitFor();
  });

  await t.step('the form says why a URL is refused, and keeps what was typed', async () => {
    await page.getByRole('button', { name: 'New webhook' }).focus();
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.name), 'url');
    await page.keyboard.type('https://user:pw@hazards.example.org/');
    await page.keyboard.press('Enter');
    await page.locator('#new-webhook [role="alert"]').waitFor();
    assert.match(await page.locator('#new-webhook [role="alert"]').textContent(), /can't be delivered to.+Expected/);
    assert.equal(await page.inputValue('[name="url"]'), 'https://user:pw@hazards.example.org/');
    await page.fill('[name="bbox"]', '1.4, 42.4, there');
    await page.fill('[name="url"]', 'https://hazards.example.org/');
    await page.locator('#new-webhook button[type="submit"]').click();
    await page.getByText('An area is four numbers').waitFor();
    await accessible(page, 'the form of a webhook');
    await t.picture(page, 'webhook-form');
    await page.keyboard.press('Escape');
    await page.locator('#new-webhook').waitFor({ state: 'hidden' });
  });
  if (!t.expected.exact) {
    await accessible(page, 'webhooks');
    await page.context().close();
    return;
  }
  const receiver = await receive();
  const id = async () => (await t.api('/v1/webhooks')).webhooks[0].id;
  let secret = '';

  await t.step('a webhook is made, and its secret is shown once', async () => {
    await page.getByRole('button', { name: 'New webhook' }).click();
    await page.fill('[name="url"]', `${receiver.url}/hazards`);
    await page.fill('input[name="description"]', 'Road authority');
    await page.check('[name="category"][value="slippery_road"]');
    await page.check('[name="category"][value="accident"]');
    await page.fill('[name="bbox"]', '1.4, 42.4, 1.8, 42.7');
    await page.fill('[name="min_probability"]', '80');
    await page.locator('#new-webhook button[type="submit"]').click();
    await page.locator('#secret code').waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), 'secret');
    secret = await page.locator('#secret code').textContent();
    assert.match(secret, /^whsec_[\w+/=]{40,}$/);
    await accessible(page, 'a secret');
    await t.picture(page, 'webhook-secret');
    const { webhooks } = await t.api('/v1/webhooks');
    assert.deepEqual([webhooks.length, webhooks[0].categories, webhooks[0].bbox, webhooks[0].min_probability, webhooks[0].description], [1, ['slippery_road', 'accident'], [1.4, 42.4, 1.8, 42.7], 0.8, 'Road authority']);
    await page.locator(`tr[data-webhook="${webhooks[0].id}"]`).waitFor();
    await page.getByRole('button', { name: 'I have kept it' }).click();
    assert.ok(!(await page.content()).includes(secret), 'the secret is still on the page');
    await page.reload();
    await mounted(page, 'webhooks');
    await page.locator('#webhook #card-title').waitFor();
    assert.ok(!(await page.content()).includes(secret), 'the secret is shown again');
  });

  await t.step('deliveries are the API\'s: attempts, status and the last error', async () => {
    const row = page.locator('#deliveries tr[data-id]').first();
    await row.locator('[data-delivery="delivered"]').waitFor();
    const { deliveries } = await t.api(`/v1/webhooks/${await id()}/deliveries`);
    assert.deepEqual(deliveries.map((d) => [d.type, d.state, d.attempt, d.status, d.error, d.last_error]), [['org.carasso.hazard.started', 'delivered', 3, 204, '', 'answered 503']]);
    const cells = await row.locator('td').allTextContents();
    assert.deepEqual([cells[1], cells[2], cells[3], cells[4], cells[5], cells[7]], ['Started', '4711', 'delivered', '3', '204', 'answered 503']);
    assert.equal(receiver.got.length, 3);
    for (const g of receiver.got) assert.ok(verifies(g, secret), 'the secret shown does not verify what is sent');
    await page.getByRole('button', { name: /^Send again delivery \d+$/ }).click();
    await page.waitForFunction(() => document.querySelector('#deliveries tr[data-id] td:nth-child(5)').textContent === '4');
    await t.picture(page, 'webhooks');
    await accessible(page, 'a webhook with its deliveries');
  });

  await t.step('it is paused and resumed, with the reason', async () => {
    await page.getByRole('button', { name: `Pause ${receiver.url}/hazards` }).click();
    await page.locator('#webhooks [data-state="paused"]').waitFor();
    await page.locator('#webhooks').getByText('paused by request').waitFor();
    assert.equal((await t.api(`/v1/webhooks/${await id()}`)).state, 'paused');
    await page.locator('#webhook').getByRole('button', { name: 'Resume' }).click();
    await page.locator('#webhooks [data-state="active"]').waitFor();
  });

  await t.step('a test that fails is told at once', async () => {
    await page.locator('#webhook').getByRole('button', { name: 'Send a test' }).click();
    const row = page.locator('#deliveries tr[data-id]').first();
    await row.locator('[data-delivery="dead"]').waitFor();
    const cells = await row.locator('td').allTextContents();
    assert.deepEqual([cells[1], cells[2], cells[3], cells[4], cells[5], cells[7]], ['Test', '–', 'given up', '1', '503', 'answered 503']);
    await page.locator('#webhook input[value="dead"]').check({ force: true });
    await page.waitForFunction(() => document.querySelectorAll('#deliveries tr[data-id]').length === 1);
    await page.locator('#webhook input[value="pending"]').check({ force: true });
    await page.getByText('None in this state').waitFor();
    await page.locator('#webhook input[value="any"]').check({ force: true });
  });

  await t.step('deliveries that newer ones push off the first page stay', async () => {
    const [sample] = (await t.api(`/v1/webhooks/${await id()}/deliveries`)).deliveries;
    let newest = 60;
    const page20 = (from) => ({ deliveries: Array.from({ length: 20 }, (_, i) => ({ ...sample, id: String(from - i) })), next_cursor: String(from - 19) });
    await page.route('**/deliveries?*', (r) => {
      const cursor = new URL(r.request().url()).searchParams.get('cursor');
      return r.fulfill({ json: page20(cursor ? cursor - 1 : newest) });
    });
    const ids = () => page.locator('#deliveries tr[data-id]').evaluateAll((rows) => rows.map((tr) => Number(tr.dataset.id)));
    const shows = async (first, last) => {
      await page.locator(`#deliveries tr[data-id="${first}"]`).waitFor();
      await page.locator(`#deliveries tr[data-id="${last}"]`).waitFor();
      assert.deepEqual(await ids(), Array.from({ length: first - last + 1 }, (_, i) => first - i), 'rows are missing, twice there or out of order');
    };
    await page.locator('#deliveries tr[data-id="60"]').waitFor();
    await page.getByRole('button', { name: 'Older' }).click();
    await shows(60, 21);
    newest = 65;
    await shows(65, 21);
    newest = 200; // more than a page since: what lies between is not known
    await shows(200, 181);
    await page.unroute('**/deliveries?*');
    await page.locator(`#deliveries tr[data-id="${sample.id}"]`).waitFor();
  });

  await t.step('a new secret is asked for twice, and signs', async () => {
    await page.locator('#webhook').getByRole('button', { name: 'New secret' }).click();
    await page.getByRole('button', { name: 'Keep it as it is' }).click();
    await page.locator('#webhook').getByRole('button', { name: 'New secret' }).click();
    await page.getByRole('button', { name: 'Make a new secret' }).click();
    await page.locator('#secret code').waitFor();
    const next = await page.locator('#secret code').textContent();
    assert.notEqual(next, secret);
    await page.locator('#webhook').getByRole('button', { name: 'Send a test' }).click();
    await page.waitForFunction(() => document.querySelectorAll('#deliveries tr[data-id]').length === 3);
    await page.locator('#deliveries tr[data-id]').first().locator('[data-delivery="dead"]').waitFor();
    assert.ok(verifies(receiver.got.at(-1), next) && verifies(receiver.got.at(-1), secret), 'both sign for a day');
    await page.getByRole('button', { name: 'I have kept it' }).click();
  });

  await t.step('an analyst reads, and changes nothing', async () => {
    const reader = await t.visit(DESKTOP, `#/webhooks?webhook=${await id()}`, { as: t.expected.analyst });
    await mounted(reader, 'webhooks');
    await reader.locator('#deliveries tr[data-id]').first().waitFor();
    assert.equal(await reader.getByRole('button', { name: /^(New webhook|Pause|Delete|Send)/ }).count(), 0);
    await reader.context().close();
  });

  await t.step('on a phone', async () => {
    const phone = await t.visit(PHONE, `#/webhooks?webhook=${await id()}`);
    await mounted(phone, 'webhooks');
    await phone.locator('#deliveries tr[data-id]').first().waitFor();
    await noSidewaysScroll(phone, 'webhooks');
    await accessible(phone, 'webhooks on a phone');
    await t.picture(phone, 'webhooks-phone');
    await phone.context().close();
  });

  await t.step('it is deleted, after asking once more', async () => {
    await page.locator('#webhook').getByRole('button', { name: 'Delete' }).click();
    assert.equal((await t.api('/v1/webhooks')).webhooks.length, 1, 'one click deletes nothing');
    await page.getByRole('button', { name: 'Delete for good' }).click();
    await page.getByText('Nobody is told yet').waitFor();
    assert.equal(await page.locator('#webhook').isVisible(), false);
    assert.deepEqual((await t.api('/v1/webhooks')).webhooks, []);
    await page.context().close();
  });
  receiver.close();
}
