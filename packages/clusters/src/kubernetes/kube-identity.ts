import { readFile } from "node:fs/promises";
import type { RequestOptions } from "node:https";
import { dirname } from "node:path";
import { KubeConfig } from "@kubernetes/client-node";
import { AppError } from "@baton/protocol";
import { reasonOf } from "../deadline.ts";

export interface KubeAccess {
  /** Absolute path of a kubeconfig; without it, the service account of the pod that we are in. */
  readonly kubeconfig?: string | undefined;
  /** Of the kubeconfig; without it, its current one. */
  readonly context?: string | undefined;
}

/** Who we are for one API server. */
export interface KubeIdentity {
  /** Its URL, which has no secret in it. */
  readonly server: string;
  readonly config: KubeConfig;
  /** TLS, proxy and the credential's header, asked for anew each time because tokens expire. */
  options(what: string): Promise<RequestOptions>;
}

/**
 * Reads the kubeconfig at each call, since somebody renews it, and keeps what was made of it for as long as the file is the same: the library caches
 * tokens of exec plugins there.
 *
 * @throws AppError `cluster-unavailable` when it cannot be used; never with anything of what is in it but names
 */
export function openIdentity({ kubeconfig, context }: KubeAccess): (what: string) => Promise<KubeIdentity> {
  let known: { readonly text: string; readonly identity: KubeIdentity } | undefined;
  const advice = kubeconfig === undefined ? 'say "kubeconfig"' : 'correct "kubeconfig" or "context"';
  return async (what) => {
    const fail = (why: string): AppError =>
      new AppError("cluster-unavailable", `cannot ${what}: ${why}; ${advice}`);
    const text = kubeconfig === undefined ? "" : await readConfig(kubeconfig, fail);
    if (known?.text === text) return known.identity;
    const identity = identityOf(loadConfig(text, kubeconfig, context, fail), fail);
    known = { text, identity };
    return identity;
  };
}

async function readConfig(file: string, fail: (why: string) => AppError): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw fail(`${file} cannot be read (${reasonOf(error)})`);
  }
}

function loadConfig(
  text: string,
  file: string | undefined,
  context: string | undefined,
  fail: (why: string) => AppError,
): KubeConfig {
  const config = new KubeConfig();
  try {
    if (file === undefined) config.loadFromCluster();
    else {
      config.loadFromString(text);
      config.makePathsAbsolute(dirname(file));
    }
  } catch {
    // What the parser says quotes the line, which may be a token's.
    throw fail(`${file ?? "the service account"} is no kubeconfig`);
  }
  if (context !== undefined) config.setCurrentContext(context);
  return config;
}

function identityOf(config: KubeConfig, fail: (why: string) => AppError): KubeIdentity {
  const names = config.getContexts().map(({ name }) => `"${name}"`);
  const cluster = config.getCurrentCluster();
  if (cluster === null)
    throw fail(
      `there is no context "${config.getCurrentContext() ?? ""}" with a cluster (there are ${names.join(", ") || "none"})`,
    );
  const url = URL.parse(cluster.server);
  if (url === null) {
    // What the library makes of an environment without them.
    const isInNoPod = cluster.server === "https://undefined:undefined";
    throw fail(isInNoPod ? "this process is in no pod" : "the address of its API server is no URL");
  }
  return {
    server: `${url.origin}${url.pathname.replace(/\/+$/, "")}`,
    config,
    options: async (what) => {
      const options: RequestOptions = {};
      try {
        await config.applyToHTTPSOptions(options);
      } catch {
        // What an exec plugin or a file's reader said may be anything.
        const user = config.getCurrentUser()?.name ?? "";
        throw new AppError(
          "cluster-unavailable",
          `cannot ${what}: user "${user}" of the kubeconfig has no credential that can be had; run kubectl with it to see why`,
        );
      }
      return options;
    },
  };
}
