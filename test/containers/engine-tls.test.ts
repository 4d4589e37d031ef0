import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type Server, createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Cluster, openContainerCluster } from "@baton/clusters";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Credential, type KrakeAuthority, createAuthority } from "../krake/certificates.ts";

const timeoutMs = 5_000;

describe("an engine behind TLS", () => {
  let directory = "";
  let authority: KrakeAuthority;
  let server: Server;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "baton-tls-"));
    authority = await createAuthority();
    const { root, intermediate, server: own } = authority;
    const options = { ...own, ca: [root, intermediate], requestCert: true, rejectUnauthorized: true };
    server = createServer(options, ({ url }, response) => {
      const version = { ApiVersion: "1.47", MinAPIVersion: "1.24", Components: [] };
      response.end(JSON.stringify(url === "/version" ? version : []));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  afterAll(async () => {
    server.closeAllConnections();
    server.close();
    await rm(directory, { recursive: true, force: true });
  });

  async function open({ cert, key }: Credential, ca = authority.root): Promise<Cluster> {
    const { port } = server.address() as AddressInfo;
    const write = async (name: string, text: string): Promise<string> => {
      const path = join(directory, name);
      await writeFile(path, text, { mode: 0o600 });
      return path;
    };
    const tls = {
      ca: await write("ca.pem", ca),
      certificate: await write("cert.pem", cert),
      key: await write("key.pem", key),
    };
    return openContainerCluster({
      name: "quay",
      api: `https://127.0.0.1:${port}`,
      tls,
      address: "127.0.0.1",
    });
  }

  it("is used by whoever has a certificate of its authority", async () => {
    const cluster = await open(await authority.issue("baton", { version: 2 }));
    await cluster.check({ timeoutMs });
    expect(await cluster.list({ timeoutMs })).toEqual([]);
  });

  it("is not used by a stranger, whose key is not in the words", async () => {
    const stranger = await authority.issueForeign("baton");
    const check = (await open(stranger)).check({ timeoutMs });
    await expect(check).rejects.toMatchObject({ code: "cluster-unavailable" });
    await expect(check).rejects.toThrow(/^cannot use cluster quay|^cannot ask the engine/);
    await expect(check).rejects.not.toThrow("PRIVATE KEY");
  });

  it("is not believed with a certificate of another authority", async () => {
    const other = await createAuthority();
    const cluster = await open(await authority.issue("baton", { version: 2 }), other.root);
    await expect(cluster.check({ timeoutMs })).rejects.toMatchObject({ code: "cluster-unavailable" });
  });

  it("is not asked without the files that are to be shown to it", async () => {
    const cluster = await open(await authority.issue("baton", { version: 2 }));
    await rm(join(directory, "key.pem"));
    await expect(cluster.check({ timeoutMs })).rejects.toThrow(
      `${join(directory, "key.pem")} cannot be read (ENOENT)`,
    );
  });
});
