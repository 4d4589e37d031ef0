import { once } from "node:events";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { openBucket } from "@baton/storage/bucket";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type KrakeAuthority, createAuthority } from "../krake/certificates.ts";

describe("a bucket behind TLS", () => {
  const timeoutMs = 5_000;
  let authority: KrakeAuthority;
  let server: https.Server;
  let connections = 0;
  beforeAll(async () => {
    authority = await createAuthority();
    server = https.createServer(authority.server, (_, response) =>
      response.end("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"),
    );
    server.on("secureConnection", () => (connections += 1));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  afterAll(async () => {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  });

  const open = (ca?: string) => {
    const { port } = server.address() as AddressInfo;
    const accessKey = { accessKeyId: "KEY", secretAccessKey: "secret" };
    const at = { region: "us-east-1", bucket: "harbor", accessKey, ca };
    return openBucket({ ...at, endpoint: `https://127.0.0.1:${port}` });
  };

  it("is trusted by the certificates given, over one connection that ends with it", async () => {
    const bucket = open(authority.root);
    for (let n = 0; n < 3; n += 1)
      expect(await bucket.readVersioning({ timeoutMs })).toMatchObject({ status: "enabled" });
    expect(connections).toBe(1);
    bucket.close();
    await expect.poll(() => countOf(server)).toBe(0);
  });

  it.each([
    ["the system's", () => undefined],
    ["another authority's", async () => (await createAuthority()).root],
  ])("is not reached with %s certificates, and that is said", async (_, certificates) => {
    const bucket = open(await certificates());
    await expect(bucket.readVersioning({ timeoutMs })).rejects.toMatchObject({
      code: "storage-unreachable",
      message: expect.stringContaining("its certificate is not trusted") as unknown,
    });
    bucket.close();
  });
});

const countOf = (server: https.Server): Promise<number> =>
  new Promise((resolve, reject) =>
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error))),
  );
