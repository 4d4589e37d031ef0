import { basename } from "node:path";
import { longestStopMs } from "@baton/protocol";
import { stopBudgetMs } from "../stop-times.ts";
import { type Rule, valueOf } from "./rule.ts";

/** A command to an agent carries no longer deadline. */
const longestCommandMs = 3_600_000;
/** Servers that may refuse to exit because a save failed. */
const stateful: readonly string[] = ["redis", "valkey", "postgres", "mysql", "mariadb"];
const presetOf: Readonly<Record<string, string>> = {
  "redis-server": "redis",
  "valkey-server": "valkey",
  postgres: "postgres",
  mysqld: "mysql",
  mariadbd: "mariadb",
  nginx: "nginx",
  java: "jvm",
};
/** They end by the signal before their program does, whatever that one's status is. */
const runners: readonly string[] = ["npm", "npx", "yarn", "pnpm"];

/** How the application is stopped and started, against what it was seen to take. */
export const hookRules: readonly Rule[] = [
  {
    id: "hook-too-long",
    severity: "blocking",
    means: "no command carries so long a deadline, so the agent could not be told to stop",
    fix: "shorten the hook's phases to less than an hour in all",
    check: ({ records: { manifest }, source }) => {
      const budget = stopBudgetMs({ graceMs: longestStopMs(manifest.hook) });
      return source !== null && budget > longestCommandMs ? `the hook may take ${budget} ms` : null;
    },
  },
  {
    id: "grace-too-short",
    severity: "warning",
    means: "the stop would be refused or forced, where it used to end by itself",
    fix: 'raise "graceMs" of the hook',
    check: ({ records: { manifest, last }, source }) =>
      source !== null && last.stopMs !== null && last.stopMs > 0.8 * manifest.hook.graceMs
        ? `the application's last stop took ${Math.round(last.stopMs)} ms, and the hook allows ${manifest.hook.graceMs} ms`
        : null,
  },
  {
    id: "hook-kills-server",
    severity: "warning",
    means: "such a server may refuse to exit because a save failed, and a kill then loses what was not saved",
    fix: "do not allow the kill",
    check: ({
      records: {
        manifest: { hook },
      },
      source,
    }) =>
      source !== null && hook.killAllowed && stateful.includes(hook.preset)
        ? `the hook of ${hook.preset} allows SIGKILL`
        : null,
  },
  {
    id: "hook-without-drain",
    severity: "info",
    means: "requests that are under way at the stop are the application's to finish",
    fix: 'add "drain" to the hook to wait for clients first',
    check: ({ records, source }) =>
      source !== null && records.manifest.hook.drain === null ? "the hook does not drain" : null,
  },
  {
    id: "hook-preset",
    severity: "warning",
    means: "another signal than its own may wait for every client, or leave recovery for the next start",
    fix: "name its preset in the hook",
    check: ({ records: { manifest } }) => {
      const program = programOf(manifest.workload.command);
      const preset = Object.hasOwn(presetOf, program) ? presetOf[program] : undefined;
      return preset !== undefined && manifest.hook.preset === "generic"
        ? `${program} runs with the generic preset, and there is one for ${preset}`
        : null;
    },
  },
  {
    id: "hook-runner",
    severity: "warning",
    means: "it ends by the signal before its program does: the stop would not count as graceful",
    fix: "execute the program itself",
    check: ({ records }) => {
      const program = programOf(records.manifest.workload.command);
      return runners.includes(program) ? `the application is run by ${program}` : null;
    },
  },
  {
    id: "data-stays-behind",
    severity: "warning",
    means: "only what is in the bucket moves",
    fix: 'add "export" to the hook, which brings it into the bucket at the stop',
    check: ({
      records: {
        manifest: { hook },
      },
      source,
      target,
    }) =>
      source !== null && target !== null && hook.dataDirectories.length > 0 && hook.export === null
        ? `the application has data in ${hook.dataDirectories.join(", ")}, and the hook exports nothing`
        : null,
  },
  {
    id: "readiness-too-short",
    severity: "blocking",
    means: "the target would be given up before it is ready",
    fix: 'raise "timeoutMs" of the readiness',
    check: ({ records: { manifest, last }, target }) =>
      target !== null && (last.startMs ?? 0) > manifest.readiness.timeoutMs
        ? startTook(last, manifest)
        : null,
  },
  {
    id: "readiness-tight",
    severity: "warning",
    means: "a target that is a little slower would be given up, and everything taken back",
    fix: 'raise "timeoutMs" of the readiness',
    check: ({ records: { manifest, last }, target }) =>
      target !== null &&
      (last.startMs ?? 0) <= manifest.readiness.timeoutMs &&
      (last.startMs ?? 0) > 0.7 * manifest.readiness.timeoutMs
        ? startTook(last, manifest)
        : null,
  },
  {
    id: "verify-missing",
    severity: "info",
    means: "the target is committed once it is ready, whether it can write or not",
    fix: 'add "verify" to the application: a request that writes',
    check: ({ records, target }) =>
      target !== null && records.manifest.verify === undefined
        ? "the application has no check of its own"
        : null,
  },
  {
    id: "verify-reads-only",
    severity: "info",
    means: "the target is committed without a write that was tried",
    fix: "verify by a request that writes",
    check: ({ records, target }) =>
      target !== null && records.manifest.verify?.method === "GET"
        ? "the application is verified by a GET"
        : null,
  },
  {
    id: "agent-version",
    severity: "warning",
    means: "an agent of another version may do otherwise than this orchestrator expects",
    fix: "bring both to the same version",
    check: ({ orchestrator, source }) => {
      const version = valueOf(source?.status)?.agentVersion ?? orchestrator.version;
      return version === orchestrator.version
        ? null
        : `the agent on ${source?.cluster} is ${version}, this orchestrator ${orchestrator.version}`;
    },
  },
];

type Facts = Parameters<Rule["check"]>[0]["records"];

const startTook = (last: Facts["last"], manifest: Facts["manifest"]): string =>
  `the application's last start took ${last.startMs} ms, and its readiness may take ${manifest.readiness.timeoutMs} ms`;

const programOf = (command: readonly string[]): string => basename(String(command[0]));
