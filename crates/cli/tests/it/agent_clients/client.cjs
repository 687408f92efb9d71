// A client that knows nothing of a gateway but what the environment says.
//
//     client.cjs PORT
//
// undici's own agent reads the variables of proxies on every Node.js; the built-in `fetch` does on those that know
// NODE_USE_ENV_PROXY.

const assert = require("node:assert");
const { randomBytes } = require("node:crypto");
const undici = require("undici");

const place = `https://localhost:${process.argv[2]}`;
const bearer = `Bearer ${process.env.TOKEN}`;

/** Whether the built-in `fetch` reads the variables: 22.21 and later, 24 and later. */
function readsVariables() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  return major >= 24 || (major === 22 && minor >= 21);
}

async function check(fetch, options) {
  for (let round = 0; round < 3; round++) {
    const answer = await fetch(`${place}/me`, { ...options, headers: { authorization: bearer } });
    // What comes back is what was sent from here.
    assert.deepStrictEqual(await answer.json(), { "you sent": bearer });
  }
  const body = randomBytes(300_000);
  const echo = await fetch(`${place}/echo`, { ...options, method: "POST", headers: { authorization: bearer }, body });
  assert.ok(Buffer.from(await echo.arrayBuffer()).equals(body));
  const stranger = await fetch(`${place}/me`, { ...options, headers: { authorization: "Bearer x" } });
  assert.strictEqual(stranger.status, 401);
  // The gateway says so itself, within the tunnel, so that a program can read why.
  const refused = await fetch("https://example.com/", options);
  assert.strictEqual(refused.status, 403);
}

async function main() {
  await check(undici.fetch, { dispatcher: new undici.EnvHttpProxyAgent() });
  if (readsVariables()) {
    await check(fetch, {});
  }
  console.log("done");
}

main();
