import { type Disturbance, type Plan, inWords, planOf, usualManners, whenInWords } from "./plan.ts";
import { type Sights, createSights, sightings } from "./sights.ts";
import { type SimulationResult, type Variant, simulate } from "./simulate.ts";

export interface Found {
  readonly seed: number;
  readonly broken: string;
  /** What is left of its plan, and what happened under it. */
  readonly plan: Plan;
  readonly story: readonly string[];
}

export interface Searched {
  readonly found: Found | null;
  readonly seeds: number;
  readonly events: number;
  readonly sights: Sights["counts"];
}

/** The first seed that breaks a promise, cut down to what it needs for that. */
export async function search(
  variant: Variant,
  { first, count }: { readonly first: number; readonly count: number },
): Promise<Searched> {
  const { counts } = createSights();
  let events = 0;
  for (let seed = first; seed < first + count; seed += 1) {
    const plan = planOf(seed);
    const result = await simulate(plan, variant);
    events += result.events;
    for (const each of sightings) counts[each] += result.sights[each];
    if (result.broken === null) continue;
    const found = await shrink(plan, variant, { ...result, broken: result.broken });
    return { found, seeds: seed - first + 1, events, sights: counts };
  }
  return { found: null, seeds: count, events, sights: counts };
}

/** Takes away whatever the same promise is broken without: again and again, until nothing can be taken any more. */
async function shrink(
  plan: Plan,
  variant: Variant,
  first: SimulationResult & { readonly broken: string },
): Promise<Found> {
  const promiseOf = (broken: string): string => broken.slice(0, 2);
  let best = plan;
  let { broken, story } = first;
  for (let isShorter = true; isShorter;) {
    isShorter = false;
    for (const candidate of shorter(best)) {
      const result = await simulate(candidate, variant);
      if (result.broken === null || promiseOf(result.broken) !== promiseOf(broken)) continue;
      best = candidate;
      ({ broken, story } = { broken: result.broken, story: result.story });
      isShorter = true;
      break;
    }
  }
  return { seed: plan.seed, broken, plan: best, story };
}

/** Each with one thing less, the largest first. */
function* shorter(plan: Plan): Generator<Plan> {
  const { wishes, disturbances, weather, manners } = plan;
  if (wishes.length > 1) yield { ...plan, wishes: wishes.slice(0, -1) };
  for (const index of disturbances.keys()) yield { ...plan, disturbances: disturbances.toSpliced(index, 1) };
  for (const name of Object.keys(weather) as (keyof typeof weather)[])
    if (weather[name] > 0) yield { ...plan, weather: { ...weather, [name]: 0 } };
  for (const [index, manner] of manners.entries())
    if (Object.entries(usualManners).some(([what, usual]) => manner[what as keyof typeof manner] !== usual))
      yield { ...plan, manners: manners.with(index, usualManners) };
  if (plan.orchestrators > 1) yield { ...plan, orchestrators: 1 };
  if (plan.decisions > 0) yield { ...plan, decisions: plan.decisions - 1 };
  for (const [index, one] of disturbances.entries())
    if (one.forMs > 1_000) {
      const half: Disturbance = { ...one, forMs: Math.ceil(one.forMs / 2) };
      yield { ...plan, disturbances: disturbances.with(index, half) };
    }
}

/** What was needed, what happened, and what broke. */
export function inLines({ seed, broken, plan, story }: Found): readonly string[] {
  const { weather, manners, disturbances, wishes, hasFence } = plan;
  const rough = Object.entries(weather).filter(([, value]) => value > 0);
  const odd = manners.flatMap((manner, index) =>
    Object.entries(manner)
      .filter(([what, how]) => usualManners[what as keyof typeof usualManners] !== how)
      .map(([what, how]) => `placement ${index + 1}: ${what} ${how}`),
  );
  return [
    `seed ${seed}: ${broken}`,
    `  asked for: ${wishes.map(({ kind, isCold, stop }) => `${isCold ? "cold " : ""}${kind} (${stop.strategy})`).join(", ")}`,
    `  keys of placements: ${hasFence ? "each its own" : "one for all"}`,
    ...rough.map(([name, value]) => `  network: ${name} ${(100 * value).toFixed(1)} %`),
    ...odd.map((line) => `  ${line}`),
    ...disturbances.map((one) => `  ${whenInWords(one)}: ${inWords(one)}`),
    "",
    ...story,
    `          ${broken}`,
  ];
}
