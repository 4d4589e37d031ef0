import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect } from "node:tls";
import { Agent, request } from "undici";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import type { TlsFiles } from "../config.ts";
import { makeCertificate } from "../fixtures/certificate.ts";
import { type Listener, listen } from "./listen.ts";

const directory = await mkdtemp(join(tmpdir(), "baton-listen-"));
const made = await Promise.all([makeCertificate(directory, "one"), makeCertificate(directory, "two")]).catch(
  (error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  },
);
afterAll(() => rm(directory, { recursive: true, force: true }));
const needs = { part: "openssl", reason: "no openssl on PATH to make certificates with" };

describe("listening with TLS", { skip: made === null, meta: { needs } }, () => {
  if (made === null) return;
  const [one, two] = made;
  const files: TlsFiles = { certificate: join(directory, "tls.crt"), key: join(directory, "tls.key") };
  const open: Listener[] = [];
  afterEach(async () => {
    for (const listener of open.splice(0)) await listener.close();
  });

  const install = async ({ certificate, key }: TlsFiles): Promise<void> => {
    await copyFile(certificate, files.certificate);
    await copyFile(key, files.key);
  };
  const start = async (host = "127.0.0.1"): Promise<Listener> => {
    const listener = await listen({ host, port: 0, tls: files }, () => undefined);
    open.push(listener);
    return listener;
  };
  /** The status, over a new connection that trusts this certificate alone. */
  const ask = async (url: string, trusted: TlsFiles): Promise<number> => {
    const ca = await readFile(trusted.certificate, "utf8");
    const dispatcher = new Agent({ connect: { ca } });
    try {
      const { statusCode, body } = await request(`${url}/livez`, { dispatcher });
      await body.dump();
      return statusCode;
    } finally {
      await dispatcher.destroy();
    }
  };

  it("is trusted by whoever has its certificate, and by nobody else", async () => {
    await install(one);
    const { url } = await start();
    expect(url).toMatch(/^https:/);
    expect(await ask(url, one)).toBe(503);
    await expect(ask(url, two)).rejects.toMatchObject({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
  });

  it("tells this machine an address that it can reach", async () => {
    await install(one);
    expect((await start("0.0.0.0")).url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
  });

  it("speaks no older TLS than 1.2", async () => {
    await install(one);
    const { port } = new URL((await start()).url);
    const greet = (maxVersion: "TLSv1.1" | "TLSv1.2"): Promise<string> =>
      new Promise((resolve, reject) => {
        const options: ConnectionOptions = {
          port: Number(port),
          host: "127.0.0.1",
          minVersion: "TLSv1.1",
          maxVersion,
          // A client that would speak it, were it asked to.
          ciphers: "DEFAULT:@SECLEVEL=0",
          rejectUnauthorized: false,
        };
        const socket = connect(options, () => {
          resolve(socket.getProtocol() ?? "none");
          socket.destroy();
        });
        socket.once("error", reject);
      });
    expect(await greet("TLSv1.2")).toBe("TLSv1.2");
    await expect(greet("TLSv1.1")).rejects.toMatchObject({ code: expect.stringContaining("VERSION") });
  });

  it("takes a certificate that was replaced, and keeps the old one where the new files are no pair", async () => {
    await install(one);
    const listener = await start();
    await listener.renew();
    expect(await ask(listener.url, one)).toBe(503);
    await copyFile(two.certificate, files.certificate);
    await expect(listener.renew()).rejects.toThrow(`${files.key} is not the key of ${files.certificate}`);
    expect(await ask(listener.url, one)).toBe(503);
    await copyFile(two.key, files.key);
    await listener.renew();
    expect(await ask(listener.url, two)).toBe(503);
    await expect(ask(listener.url, one)).rejects.toMatchObject({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
  });

  it.each([
    ["certificate", "hunter2", "holds no certificate in PEM form"],
    ["key", "hunter2", "holds no private key in PEM form"],
    ["key", null, "cannot be read (ENOENT)"],
  ] as const)("does not begin with a %s that is wrong, nor shows it", async (which, text, why) => {
    await install(one);
    await (text === null ? rm(files[which]) : writeFile(files[which], text));
    const error = await start().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "invalid-configuration" });
    expect(String(error)).toContain(`${files[which]} ${why}`);
    expect(String(error)).not.toContain("hunter2");
  });

  it("does not answer who speaks no TLS, and goes on", async () => {
    await install(one);
    const { url } = await start();
    await expect(request(url.replace("https:", "http:"))).rejects.toMatchObject({
      code: "UND_ERR_SOCKET",
    });
    expect(await ask(url, one)).toBe(503);
  });
});
