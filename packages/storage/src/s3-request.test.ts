import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";

const run = promisify(execFile);
const here = import.meta.dirname;
let directory: string;
let program: string;
// As the agent is built: an ES module loads undici by the mere import of node:http.
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "baton-s3-request-"));
  program = join(directory, "lean-client.cjs");
  const esbuild = join(here, "../../../node_modules/.bin/esbuild");
  const format = ["--bundle", "--minify", "--platform=node", "--format=cjs", "--target=node24"];
  await run(esbuild, [join(here, "fixtures/lean-client.ts"), ...format, `--outfile=${program}`]);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function serve(server: http.Server | https.Server): Promise<number> {
  server.on("request", (request: http.IncomingMessage, response: http.ServerResponse) => {
    request.resume();
    response.writeHead(200, { etag: '"e"' }).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(() => new Promise((done) => server.close(done)));
  return (server.address() as AddressInfo).port;
}

async function runClient(endpoint: string, env: Record<string, string> = {}): Promise<unknown> {
  const { stdout } = await run(process.execPath, [program, endpoint], {
    env: { PATH: process.env["PATH"], ...env },
    timeout: 15_000,
  });
  return JSON.parse(stdout);
}

const put = { kind: "stored", etag: '"e"' };

it("loads neither TLS nor undici for an http endpoint", async () => {
  const port = await serve(http.createServer());
  expect(await runClient(`http://127.0.0.1:${port}`)).toEqual({ put, undici: false, tls: false });
});

it("speaks TLS to an https endpoint, and to nobody whom it cannot verify", async () => {
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  const ecKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key];
  const subject = ["-subj", "/CN=store", "-addext", "subjectAltName=IP:127.0.0.1"];
  await run("openssl", ["req", "-x509", "-days", "1", ...ecKey, ...subject, "-out", cert]);
  const port = await serve(https.createServer({ key: await readFile(key), cert: await readFile(cert) }));
  const endpoint = `https://127.0.0.1:${port}`;
  expect(await runClient(endpoint, { NODE_EXTRA_CA_CERTS: cert })).toEqual({ put, undici: false, tls: true });
  await expect(runClient(endpoint)).rejects.toThrow("storage-unreachable");
});
