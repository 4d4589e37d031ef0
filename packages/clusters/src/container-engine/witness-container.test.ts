import { expect, it } from "vitest";
import { judge } from "./witness-container.ts";

const command = "node /opt/baton/baton-agent.cjs run --config /etc/baton/agent.json";
const init = { pid: 1, parent: 0, command: `/run/podman-init -- ${command}` };
const agent = { pid: 2, parent: 1, command };
const application = { pid: 9, parent: 2, command: "redis-server *:6379" };

it("tells the init and the agent from everything else", () => {
  expect(judge([init, agent])).toMatchObject({ state: "terminated", agentAlive: true, processes: [] });
  expect(judge([init, agent, application])).toMatchObject({
    state: "running",
    processes: [{ pid: 9, command: "redis-server" }],
  });
});

it("knows Docker's init, and numbers of the host", () => {
  const listed = [
    { pid: 4_000, parent: 3_990, command: `/sbin/docker-init -- ${command}` },
    { pid: 4_010, parent: 4_000, command },
  ];
  expect(judge(listed)).toMatchObject({ state: "terminated", agentAlive: true });
});

it.each([
  ["orphans of the application", { pid: 9, parent: 1, command: "redis-server" }],
  ["what was executed from outside", { pid: 9, parent: 0, command: "sh" }],
  ["a second process that looks like the agent", { pid: 9, parent: 1, command }],
  ["a child of the agent that is not executed yet", { pid: 9, parent: 2, command }],
])("counts %s as running", (_, other) => {
  expect(judge([init, agent, other])).toMatchObject({ state: "running", processes: [{ pid: 9 }] });
});

it("sees an agent that died below its init", () => {
  expect(judge([init])).toMatchObject({ state: "terminated", agentAlive: false });
});

it.each([
  ["nothing", []],
  ["no init", [application]],
  ["two", [init, { ...init, pid: 3 }]],
  ["what is no number", [init, { ...agent, pid: Number.NaN }]],
])("knows nothing from a list of %s", (_, listed) => {
  expect(judge(listed)).toMatchObject({ state: "unknown", agentAlive: false });
});
