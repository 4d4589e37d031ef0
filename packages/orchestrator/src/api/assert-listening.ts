import { isIP } from "node:net";
import { AppError } from "@baton/protocol";
import type { OrchestratorConfig } from "../config.ts";

/** Tokens travel with every request. @throws AppError `invalid-configuration` for an address that others reach without TLS, or that agents cannot be told */
export function assertListening({
  listen,
  publicUrl,
}: Pick<OrchestratorConfig, "listen" | "publicUrl">): void {
  const { host, tls, plainHttp = false } = listen;
  if (isLoopback(host)) return;
  const refuse = (why: string): AppError =>
    new AppError("invalid-configuration", `cannot listen on ${host}: ${why}`);
  if (tls === undefined && !plainHttp)
    throw refuse(
      "it is not loopback, and tokens would travel in the clear; give BATON_TLS_CERTIFICATE_FILE and BATON_TLS_KEY_FILE, or BATON_PLAIN_HTTP=yes where something in front of it speaks TLS",
    );
  if (isEveryAddress(host) && publicUrl === undefined)
    throw refuse(
      "it stands for every address, and agents have to be told one; give BATON_PUBLIC_URL, where they reach this orchestrator",
    );
}

const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));

export const isEveryAddress = (host: string): boolean => host === "0.0.0.0" || host === "::";
