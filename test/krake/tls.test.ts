import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, readdir, rm, stat } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { KrakeAuthority } from "./certificates.ts";
import { type Krake, createKrake } from "./krake.ts";

let krake: Krake;
afterEach(() => krake.close());

const begin = async (more: object = {}): Promise<KrakeAuthority> => {
  krake = await createKrake({ tls: true, state: "WAITING_FOR_CLEANING", ...more });
  if (krake.authority === null) throw new Error("no TLS");
  return krake.authority;
};
/** The status of a confirmation, or what the connection said instead. */
const confirm = (tls: { ca?: string; cert?: string; key?: string }): Promise<number | string> =>
  new Promise((resolve) => {
    const call = request(krake.url, { method: "PUT", agent: false, ...tls }, (response) => {
      response.resume();
      response.once("end", () => resolve(response.statusCode ?? 0));
    });
    call.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    call.end(JSON.stringify({ token: krake.token }));
  });
const chain = (authority: KrakeAuthority, cert: string) => cert + authority.intermediate;

describe("Krake by TLS", () => {
  it("takes the leaf of version 4 with its intermediate, and knows the user by its name", async () => {
    const authority = await begin({ mayConfirm: ["system:shutdown-hook"], anonymous: false });
    const { cert, key } = await authority.issue("system:shutdown-hook");
    expect(await confirm({ ca: authority.root, cert: chain(authority, cert), key })).toBe(200);
    expect(krake.confirms).toMatchObject([{ user: "system:shutdown-hook" }]);
    expect(krake.state).toBe("READY_FOR_ACTION");
  });

  it("answers 403 to a user without the right, and 401 to none", async () => {
    const authority = await begin({ mayConfirm: ["system:shutdown-hook"] });
    const { cert, key } = await authority.issue("somebody");
    expect(await confirm({ ca: authority.root, cert: chain(authority, cert), key })).toBe(403);
    expect(await confirm({ ca: authority.root })).toBe(401);
  });

  it("lets a client without a certificate in where anonymous users are", async () => {
    const authority = await begin();
    expect(await confirm({ ca: authority.root })).toBe(200);
    expect(krake.confirms).toMatchObject([{ user: "anonymous" }]);
  });

  it("trusts the root only: a leaf alone, or a foreign one, does not come through", async () => {
    const authority = await begin();
    const own = await authority.issue("system:shutdown-hook");
    const foreign = await authority.issueForeign("system:shutdown-hook");
    expect(await confirm({ ca: authority.root, ...own })).toBeTypeOf("string");
    expect(await confirm({ ca: authority.root, ...foreign })).toBeTypeOf("string");
    expect(krake.confirms).toEqual([]);
    expect(krake.state).toBe("WAITING_FOR_CLEANING");
  });

  it("takes the leaf alone when the client's bundle has the intermediate, which it then sends itself", async () => {
    const authority = await begin();
    const own = await authority.issue("system:shutdown-hook");
    expect(await confirm({ ca: authority.root + authority.intermediate, ...own })).toBe(200);
  });

  it("is not trusted by a client that does not know its root", async () => {
    await begin();
    expect(await confirm({})).toMatch(/SELF_SIGNED|UNABLE_TO/);
  });
});

describe("its certificates", () => {
  it("have the version field 3 in the leaf, and none of X.509's versions, unless asked for a correct one", async () => {
    const authority = await begin();
    const versionOf = async (options?: { version: 2 | 3 }) => {
      const { cert } = await authority.issue("u", options);
      const { raw } = new X509Certificate(cert);
      return raw.indexOf(Buffer.from([0xa0, 0x03, 0x02, 0x01])) === 8 ? raw[12] : null;
    };
    expect(await versionOf()).toBe(3);
    expect(await versionOf({ version: 2 })).toBe(2);
  });

  it("are written as Krake mounts them", async () => {
    await begin();
    const folder = await mkdtemp(join(tmpdir(), "baton-krake-"));
    await krake.writeCertificates(join(folder, "certs"));
    const read = (name: string) => readFile(join(folder, "certs", name), "utf8");
    expect((await readdir(join(folder, "certs"))).toSorted()).toEqual([
      "ca-bundle.pem",
      "cert.pem",
      "key.pem",
    ]);
    const counted = async (name: string) => (await read(name)).split("BEGIN CERTIFICATE").length - 1;
    expect([await counted("ca-bundle.pem"), await counted("cert.pem")]).toEqual([2, 1]);
    const leaf = new X509Certificate(await read("cert.pem"));
    expect(leaf.subject).toBe("O=Krake\nCN=system:shutdown-hook");
    expect(leaf.issuer).toBe("O=Krake\nCN=krake-hook-ca");
    expect((await stat(join(folder, "certs", "key.pem"))).mode & 0o777).toBe(0o600);
    await rm(folder, { recursive: true });
  });
});
