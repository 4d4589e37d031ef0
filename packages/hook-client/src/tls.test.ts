import { afterEach, describe, expect, it } from "vitest";
import { makeCertificates } from "./fixtures/certificates.ts";
import { type StoppableAgent, startStoppableAgent } from "./fixtures/stoppable-agent.ts";
import type { TlsOptions } from "./open-dispatcher.ts";
import { stopAndConfirm } from "./stop-and-confirm.ts";

const pem = await makeCertificates().catch((error: NodeJS.ErrnoException) => {
  if (error.code === "ENOENT") return null;
  throw error;
});
const needs = { part: "openssl", reason: "no openssl on PATH to make certificates with" };

describe("TLS to the agent", { skip: pem === null, meta: { needs } }, () => {
  if (pem === null) return;
  const { ca, server, client, stranger } = pem;
  let agent: StoppableAgent | null = null;
  afterEach(() => agent?.end());

  const stop = (at: StoppableAgent, tls: TlsOptions, deadlineMs = 5_000) =>
    stopAndConfirm(at.url, {
      placement: at.placement,
      signingKey: at.commandKeys.privateKey,
      publicKey: at.publicKey,
      deadlineMs,
      tls,
    });

  it("works with the authority, and with a certificate of ours where the agent asks for one", async () => {
    agent = await startStoppableAgent({ ...server, ca, requestCert: true, rejectUnauthorized: true });
    expect(await stop(agent, { ca, ...client })).toMatchObject({ outcome: "graceful" });
  });

  it.each([
    ["none", {}],
    ["somebody else's", stranger],
  ])("with no certificate that the agent accepts (%s) never comes through", async (_, wrong) => {
    agent = await startStoppableAgent({ ...server, ca, requestCert: true, rejectUnauthorized: true });
    await expect(stop(agent, { ca, ...wrong }, 500)).rejects.toMatchObject({
      code: "agent-unreachable",
      meta: { taken: "no" },
    });
    expect(agent.heard).toEqual([]);
  });

  it("is refused at once when the agent's own certificate cannot be trusted", async () => {
    agent = await startStoppableAgent(server);
    for (const tls of [{}, { ca: stranger.cert }, { ca, servername: "elsewhere.example" }])
      await expect(stop(agent, tls, 60_000)).rejects.toMatchObject({ code: "agent-identity" });
    expect(agent.heard).toEqual([]);
  });

  it("needs certificate and key together", async () => {
    agent = await startStoppableAgent(server);
    await expect(stop(agent, { ca, cert: client.cert })).rejects.toMatchObject({ code: "invalid-request" });
  });
});
