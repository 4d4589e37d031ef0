import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type RequestOptions, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Socket, connect as connectPlain } from "node:net";
import { connect } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Bed, createBed } from "./fixtures/agent-bed.ts";

/** `once` would reject at the error that comes before. */
const closed = (socket: Socket): Promise<unknown> => new Promise((resolve) => socket.once("close", resolve));

/** Found on PATH; a suite that misses it says so. */
const program = "openssl";
const missing = spawnSync(program, ["version"]).error !== undefined;
const needs = { part: "openssl", reason: "no openssl on PATH to make certificates with" };

describe("the API with TLS", { skip: missing, meta: { needs }, timeout: 60_000 }, () => {
  let directory = "";
  const at = (name: string): string => join(directory, name);
  const pem = (name: string) => ({
    cert: readFileSync(at(`${name}.pem`), "utf8"),
    key: readFileSync(at(`${name}.key`), "utf8"),
  });
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "baton-tls-"));
    const openssl = (...args: string[]): void =>
      void execFileSync(program, args, { cwd: directory, stdio: "ignore" });
    const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    for (const name of ["ca", "other"])
      openssl(
        "req",
        "-x509",
        ...newKey,
        "-subj",
        `/CN=${name}`,
        "-keyout",
        `${name}.key`,
        "-out",
        `${name}.pem`,
      );
    writeFileSync(at("ext"), "subjectAltName=IP:127.0.0.1\n");
    for (const [name, issuer] of [
      ["server", "ca"],
      ["client", "ca"],
      ["stranger", "other"],
    ] as const) {
      openssl(
        "req",
        "-new",
        ...newKey,
        "-subj",
        `/CN=${name}`,
        "-keyout",
        `${name}.key`,
        "-out",
        `${name}.csr`,
      );
      const signer = [
        "-CA",
        `${issuer}.pem`,
        "-CAkey",
        `${issuer}.key`,
        "-CAcreateserial",
        "-extfile",
        "ext",
      ];
      openssl("x509", "-req", "-in", `${name}.csr`, ...signer, "-out", `${name}.pem`);
    }
    writeFileSync(at("nonsense.pem"), "hidden-content");
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  let bed: Bed | null = null;
  afterEach(async () => {
    await bed?.end();
    bed = null;
  });
  const begin = async (
    tls: { certificate?: string; key?: string; clientCa?: string | null } = {},
  ): Promise<Bed> => {
    bed = await createBed({
      config: { tls: { certificate: at("server.pem"), key: at("server.key"), clientCa: null, ...tls } },
    });
    await bed.begin();
    return bed;
  };
  const get = async (url: string, options: RequestOptions): Promise<number | undefined> => {
    const call = request(url, { agent: false, ...options });
    call.end();
    const [response] = (await once(call, "response")) as [import("node:http").IncomingMessage];
    response.resume();
    return response.statusCode;
  };

  it("is what the endpoint says, and verified by its authority", async () => {
    const { agent } = await begin();
    expect(agent.endpoint.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    const { cert: ca } = pem("ca");
    expect(await get(`${agent.endpoint.url}/livez`, { ca })).toBe(200);
    await expect(get(`${agent.endpoint.url}/livez`, { ca: pem("other").cert })).rejects.toMatchObject({
      code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    });
  });

  it("serves only clients with a certificate of the authority that is named, commands and probes alike", async () => {
    const { agent } = await begin({ clientCa: at("ca.pem") });
    const { cert: ca } = pem("ca");
    expect(await get(`${agent.endpoint.url}/livez`, { ca, ...pem("client") })).toBe(200);
    for (const wrong of [{}, pem("stranger")])
      await expect(get(`${agent.endpoint.url}/livez`, { ca, ...wrong })).rejects.toMatchObject({
        code: expect.stringMatching(/^E|^ERR_/) as string,
      });
  });

  it("gives a client without a certificate not one byte of an answer", async () => {
    const { agent } = await begin({ clientCa: at("ca.pem") });
    const { port } = new URL(agent.endpoint.url);
    let bytes = 0;
    const socket = connect({ host: "127.0.0.1", port: Number(port), ca: pem("ca").cert });
    socket.on("error", () => {});
    socket.on("data", (chunk) => (bytes += chunk.length));
    socket.write("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n");
    await closed(socket);
    expect(bytes).toBe(0);
  });

  it("survives plain HTTP and nonsense on its port, and answers neither", async () => {
    const { agent } = await begin();
    const { port } = new URL(agent.endpoint.url);
    for (const words of ["GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", "\u0016\u0003\u0001 nonsense"]) {
      const socket = connectPlain(Number(port), "127.0.0.1");
      socket.on("error", () => {});
      let text = "";
      socket.on("data", (chunk) => (text += chunk.toString("latin1")));
      socket.end(words);
      await closed(socket);
      expect(text).not.toContain("HTTP/1.1");
    }
    expect(await get(`${agent.endpoint.url}/livez`, { ca: pem("ca").cert })).toBe(200);
  });

  it.each([
    [{ certificate: "nowhere.pem" }, /nowhere\.pem cannot be read \(ENOENT\)/],
    [{ certificate: "nonsense.pem" }, /nonsense\.pem holds no certificate in PEM form/],
    [{ key: "nonsense.pem" }, /nonsense\.pem holds no private key/],
    [{ key: "client.key" }, /client\.key is not the key of .*server\.pem/],
    [{ clientCa: "nonsense.pem" }, /nonsense\.pem holds no certificate/],
  ])("ends the start in one sentence when a file is wrong: %j", async (wrong, words) => {
    const files = Object.fromEntries(Object.entries(wrong).map(([name, file]) => [name, at(file)]));
    const error = await begin(files).then(
      () => null,
      (reason: Error) => reason,
    );
    expect(error).toMatchObject({ code: "invalid-configuration" });
    expect(error?.message).toMatch(words);
    expect(error?.message).not.toContain("hidden-content");
  });
});
