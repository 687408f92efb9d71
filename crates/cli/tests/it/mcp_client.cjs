// What an agent does with `fnox mcp`, by the official TypeScript client.
//
// Arguments: mode, the binary, the upstream's URL. The environment is the server's.

const assert = require("node:assert/strict");
const { Client } = require("@modelcontextprotocol/client");
const { StdioClientTransport } = require("@modelcontextprotocol/client/stdio");

const [mode, binary, url] = process.argv.slice(2);

function text(result, isError = false) {
  assert.equal(Boolean(result.isError), isError, JSON.stringify(result));
  assert.equal(result.content.length, 1);
  return result.content[0].text;
}

async function run() {
  const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
  const env = { ...process.env, URL: url };
  await client.connect(new StdioClientTransport({ command: binary, args: ["mcp"], env }));
  console.log(client.getNegotiatedProtocolVersion());
  assert.equal(client.getServerVersion().name, "fnox-mcp");
  const { tools } = await client.listTools();
  const names = tools.map((tool) => tool.name).sort();
  assert.deepEqual(names, ["exec", "list_credentials", "request_access"]);

  const call = (name, given) => client.callTool({ name, arguments: given });
  const [credential] = (await call("list_credentials", {})).structuredContent.credentials;
  const script = 'echo "$TOKEN"; curl -fsS -o /dev/null -H "Authorization: Bearer $TOKEN" "$URL/a"; exit 3';
  const ran = text(await call("exec", { command: ["sh", "-c", script] }));
  assert.equal(ran, `${credential.placeholder}\n[exit code: 3]`);

  assert.match(text(await call("exec", { command: [] }), true), /no command/);
  const wanted = { credential: "TOKEN", host: "example.com", reason: "to see", methods: ["GET", "POST"] };
  assert.match(text(await call("request_access", wanted)), /^A person allowed it, .*GET, POST/);
  const listed = (await call("list_credentials", {})).structuredContent.credentials;
  assert.deepEqual(listed.filter((it) => it.until).map((it) => it.host), ["example.com"]);
  const refused = text(await call("request_access", { ...wanted, host: "example.org" }));
  assert.match(refused, /^A person refused .*\[\[proxy\.rules\]\]/s);
  const several = Array.from({ length: 20 }, (_, number) => call("exec", { command: ["echo", `${number}`] }));
  (await Promise.all(several)).forEach((result, number) => {
    assert.equal(text(result), `${number}\n[exit code: 0]`);
  });
  await assert.rejects(call("get_secret", { name: "TOKEN" }), /is off/);

  const abort = new AbortController();
  const options = { signal: abort.signal };
  const sleep = client.callTool({ name: "exec", arguments: { command: ["sleep", "600"] } }, options);
  abort.abort("enough");
  await assert.rejects(sleep);
  await client.close();
}

run().catch((error) => {
  console.error(error);
  process.exit(1);
});
