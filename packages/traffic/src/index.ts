export {
  type TrafficChange,
  type TrafficReceiver,
  type TrafficState,
  decideTraffic,
} from "./decide-traffic.ts";
export { openTrafficPlugin } from "./open-plugin.ts";
export type { OpenTraffic, ServedRoute, Telling } from "./traffic-plugin.port.ts";
