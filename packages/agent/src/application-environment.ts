import { type AgentConfig, cookieVariable } from "@baton/protocol";
import type { RunFacts } from "./facts.ts";
import { withoutStronger } from "./served-key.ts";

/** Of the agent's own environment only these reach an application that asked for a clean one. */
const always = ["PATH", "HOME", "LANG", "TMPDIR"];
/** The agent's own settings and Krake's credentials: no application's business. */
const agentsOwn = /^(BATON|KRAKE)_/;

/** What the application is told. Data keys come in `secrets`; the agent's own never do. */
export function applicationEnvironment(params: {
  readonly config: AgentConfig;
  readonly facts: RunFacts;
  readonly inherited: Readonly<Record<string, string | undefined>>;
  readonly secrets: Readonly<Record<string, string>>;
}): Record<string, string> {
  const { config, facts, inherited, secrets } = params;
  const { storage, applicationPort } = config;
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(inherited)) {
    const isMeant = config.environment === "inherit" ? !agentsOwn.test(name) : always.includes(name);
    if (isMeant && value !== undefined) environment[name] = value;
  }
  return {
    ...withoutStronger({ ...environment, ...config.workload?.environment }, secrets),
    ...secrets,
    BATON_PLACEMENT: config.placement,
    BATON_APPLICATION: config.application,
    BATON_EPOCH: String(facts.epoch),
    ...(storage !== null && {
      BATON_BUCKET: storage.bucket,
      BATON_PREFIX: storage.prefix,
      AWS_ENDPOINT_URL_S3: (storage.application ?? storage).endpoint,
      AWS_REGION: (storage.application ?? storage).region,
    }),
    ...(applicationPort !== null && { PORT: String(applicationPort) }),
    [cookieVariable]: facts.cookie,
  };
}
