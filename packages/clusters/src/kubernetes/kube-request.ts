import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { AppError } from "@baton/protocol";
import { reasonOf } from "../deadline.ts";
import type { KubeIdentity } from "./kube-identity.ts";

const largestAnswerBytes = 33_554_432;

export interface KubeRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With its query: `/api/v1/namespaces/default/pods?limit=500`. */
  readonly path: string;
  readonly json?: unknown;
  /** Of `json`. */
  readonly type?: string | undefined;
  /** What is done, as it shall stand in "cannot <what>: …". */
  readonly what: string;
  readonly signal: AbortSignal;
}

export interface KubeAnswer {
  readonly status: number;
  readonly bytes: Buffer;
}

/** One request over a connection of its own, whatever is answered. @throws AppError `cluster-unavailable` when nothing is, or the signal's reason */
export async function requestKube(identity: KubeIdentity, asked: KubeRequest): Promise<KubeAnswer> {
  const { method, path, json, type = "application/json", what, signal } = asked;
  const url = new URL(identity.server + path);
  const options = await identity.options(what);
  const body = json === undefined ? undefined : JSON.stringify(json);
  const headers = {
    ...(options.headers as Readonly<Record<string, string>> | undefined),
    accept: "application/json",
    ...(body !== undefined && { "content-type": type, "content-length": Buffer.byteLength(body) }),
  };
  const send = url.protocol === "https:" ? requestHttps : requestHttp;
  try {
    signal.throwIfAborted();
    return await new Promise((resolve, reject) => {
      send(url, { ...options, method, headers, signal }, (response) => {
        readAll(response).then((bytes) => resolve({ status: response.statusCode ?? 0, bytes }), reject);
      })
        .once("error", reject)
        .end(body);
    });
  } catch (error) {
    signal.throwIfAborted();
    throw new AppError(
      "cluster-unavailable",
      `cannot ${what}: the API server ${identity.server} does not answer (${reasonOf(error)}); try again later, or correct the kubeconfig`,
      { cause: error },
    );
  }
}

async function readAll(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > largestAnswerBytes) throw new Error(`more than ${largestAnswerBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
