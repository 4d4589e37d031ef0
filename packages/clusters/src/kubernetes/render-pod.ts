import { AppError, agentPortInContainer } from "@baton/protocol";
import type { PlacementSpec } from "../cluster.port.ts";
import { type AgentSettings, agentCommands, mounts, slotVariable } from "./agent-config.ts";
import { secretNameOf } from "./names.ts";

export type Json = Readonly<Record<string, unknown>>;

/** What is no object has nothing in it: the API server says what is wrong with it. */
export const asJson = (value: unknown): Json =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
export const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

export interface PodParts {
  readonly spec: PlacementSpec;
  readonly settings: AgentSettings;
  readonly container: string;
  readonly agent: readonly string[] | undefined;
  readonly agentConfigMap: string | null;
  /** Not made by a controller, which has rules of its own for restarts. */
  readonly isPod: boolean;
}

const volumes = { config: "baton-config", state: "baton-state", agent: "baton-agent" };
const uidVariable = "BATON_POD_UID";

/** The user's pod with the agent as the command of the application's container. */
export function renderPodSpec(pod: Json, parts: PodParts): Json {
  const { spec, settings, agentConfigMap, isPod } = parts;
  for (const shared of ["shareProcessNamespace", "hostPID"])
    if (pod[shared] === true)
      throw new AppError(
        "invalid-request",
        `cannot place ${spec.placement}: its pod says "${shared}", and what runs in its container could not be told from the rest; leave it out`,
      );
  const own = [
    // Read by the container's user, whoever that is: nothing else mounts it.
    { name: volumes.config, secret: { secretName: secretNameOf(spec.placement), defaultMode: 0o444 } },
    { name: volumes.state, emptyDir: {} },
    ...(agentConfigMap === null ? [] : [{ name: volumes.agent, configMap: { name: agentConfigMap } }]),
  ];
  return {
    ...pod,
    ...(isPod && { restartPolicy: "Always" }),
    terminationGracePeriodSeconds: settings.graceSeconds,
    volumes: [...asList(pod["volumes"]), ...own],
    containers: asList(pod["containers"])
      .map(asJson)
      .map((each) => (each["name"] === parts.container ? renderContainer(each, parts) : each)),
  };
}

function renderContainer(container: Json, { agent, agentConfigMap, container: name }: PodParts): Json {
  const kept = Object.fromEntries(
    Object.entries(container).filter(([field]) => field !== "args" && field !== "startupProbe"),
  );
  const named = (list: unknown): readonly Json[] => asList(list).map(asJson);
  const probe = (path: string) => ({ httpGet: { path, port: agentPortInContainer } });
  const ports = named(container["ports"]);
  return {
    ...kept,
    command: agentCommands(agent).run,
    env: [
      ...named(container["env"]).filter(
        (each) => each["name"] !== uidVariable && each["name"] !== slotVariable,
      ),
      { name: uidVariable, valueFrom: { fieldRef: { fieldPath: "metadata.uid" } } },
      // Whatever ran in this container of this pod before is dead when it is started again.
      { name: slotVariable, value: `$(${uidVariable})/${name}` },
    ],
    ports: ports.some((each) => each["containerPort"] === agentPortInContainer)
      ? ports
      : [...ports, { name: "baton-agent", containerPort: agentPortInContainer }],
    // Clients are let in at the commit, and kept out while it stops.
    readinessProbe: { ...probe("/readyz"), periodSeconds: 1, timeoutSeconds: 2, failureThreshold: 1 },
    // It answers for as long as the agent lives, however long a stop takes.
    livenessProbe: {
      ...probe("/livez"),
      initialDelaySeconds: 10,
      periodSeconds: 10,
      timeoutSeconds: 5,
      failureThreshold: 6,
    },
    volumeMounts: [
      ...named(container["volumeMounts"]),
      { name: volumes.config, mountPath: mounts.config, readOnly: true },
      { name: volumes.state, mountPath: mounts.state },
      ...(agentConfigMap === null ? [] : [{ name: volumes.agent, mountPath: mounts.agent, readOnly: true }]),
    ],
  };
}
