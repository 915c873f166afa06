// The outline of a definition as boxes within boxes and the ways between them. A box's id is the address of what it stands for:
// what the history calls a path, without its counters.

import { span } from "../parts/time";

export interface Outline {
  initial: string;
  states: State[];
  anywhere?: Reaction[];
  handlers?: Record<string, Node[]>;
}

interface State {
  name: string;
  label?: string;
  body?: Node[];
  reactions?: Reaction[];
  transitions?: { to: string; when?: string }[];
  ending?: { status: string };
}

interface Reaction {
  name: string;
  trigger: string;
  signal?: string;
  delay?: number; // microseconds
  move?: string;
  to?: string;
  do?: Node[];
}

interface Node {
  key: string;
  kind: string;
  body?: Node[];
  arms?: { key: string; when?: string; body?: Node[] }[];
  branches?: { key: string; when?: string; body?: Node[] }[];
  steps?: { key: string; needs?: string[]; body?: Node[]; to?: { step: string; when?: string }[] }[];
  states?: State[];
  initial?: string;
  anywhere?: Reaction[];
  activity?: { name: string; compensate?: { name: string } };
  signal?: string;
  of?: string;
  role?: string;
  topic?: string;
}

export type BoxKind = "state" | "final" | "node" | "group" | "begin";

export interface Box {
  id: string;
  kind: BoxKind;
  label: string;
  note: string;
  children: Box[];
}

export interface Way {
  id: string;
  from: string;
  to: string;
  label: string;
  kind: "way" | "signal" | "timeout" | "failure" | "next";
  taken: string; // by which the history tells that it was gone
}

export interface Graph {
  boxes: Box[];
  ways: Way[];
}

export function graphOf(outline: Outline): Graph {
  const ways: Way[] = [];
  const boxes = statesOf(outline.states ?? [], outline.initial, outline.anywhere ?? [], "", ways);
  const handlers = Object.entries(outline.handlers ?? {}).map(([name, body]): Box => {
    const id = `!${name}`; // as paths of what an ending runs begin
    return { id, kind: "group", label: name.replace("_", " "), note: ENDINGS[name] ?? "when it ends", children: bodyOf(body, id, ways) };
  });
  return { boxes: [...boxes, ...handlers], ways };
}

const ENDINGS: Record<string, string> = { on_failure: "when it fails", on_cancel: "when it is cancelled", finally: "however it ends" };

/** States of the instance's own machine (`machine` is empty), or of one within a body. */
function statesOf(states: State[], initial: string, anywhere: Reaction[], machine: string, ways: Way[]): Box[] {
  const at = machine ? `${machine}:` : "";
  const begin: Box = { id: `${at}^`, kind: "begin", label: "", note: "", children: [] };
  const between: Box[] = []; // what reactions do before they lead on
  const boxes = states.map((s): Box => {
    const id = `${at}${s.name}`;
    for (const t of s.transitions ?? []) way(id, `${at}${t.to}`, shown(t.when), "way", ways);
    const own = bodyOf(s.body ?? [], id, ways);
    for (const r of s.reactions ?? []) (leads(r) ? between : own).push(...reaction(r, id, at, ways));
    return { id, kind: s.ending ? "final" : "state", label: s.label || s.name, note: s.ending?.status ?? "", children: own };
  });
  if (states.some((s) => s.name === initial)) way(begin.id, `${at}${initial}`, "", "way", ways);
  for (const r of anywhere) if (leads(r)) between.push(...reaction(r, begin.id, at, ways));
  return [begin, ...boxes, ...between];
}

function leads(r: Reaction): boolean {
  return r.to !== undefined && r.move !== "stay";
}

function way(from: string, to: string, label: string, kind: Way["kind"], ways: Way[], taken = `${from}>${to}`): void {
  ways.push({ id: `${from}>${to}>${kind}>${label}`, from, to, label, kind, taken });
}

/** The way it leads, and what it does on it: a box between, or one within the state that is stayed in. */
function reaction(r: Reaction, from: string, at: string, ways: Way[]): Box[] {
  const kind = r.trigger === "signal" ? "signal" : r.trigger === "timeout" ? "timeout" : r.trigger === "failure" ? "failure" : "way";
  const label = kind === "signal" ? (r.signal ?? r.name) : kind === "timeout" ? (r.delay ? `after ${span(r.delay / 1e6)}` : "after a time") : kind === "failure" ? "on failure" : r.name;
  const id = `${from}!${r.name}`; // as paths of what it does begin
  const does: Box[] = r.do?.length ? [{ id, kind: "group", label, note: leads(r) ? "on the way" : "stays", children: bodyOf(r.do, id, ways) }] : [];
  if (leads(r)) {
    const to = `${at}${r.to}`;
    const taken = `${from}>${to}`;
    if (does.length === 0) way(from, to, label, kind, ways);
    else {
      way(from, id, "", kind, ways, taken);
      way(id, to, "", kind, ways, taken);
    }
  }
  return does;
}

/** A guard by its expression, or by its function's name; one that was made up for a lambda says nothing. */
function shown(when: string | undefined): string {
  if (!when) return "";
  const text = when.replace(/^= /, "");
  if (text === when && !/^[A-Za-z_]\w*$/.test(text)) return "if";
  return text.length > 28 ? `${text.slice(0, 27)}…` : text;
}

/** One node after the other. */
function bodyOf(nodes: Node[], container: string, ways: Way[]): Box[] {
  const boxes = nodes.map((n) => nodeOf(n, `${container}/${n.key}`, ways));
  for (let n = 1; n < boxes.length; n++) way(boxes[n - 1]!.id, boxes[n]!.id, "", "next", ways);
  return boxes;
}

function nodeOf(n: Node, id: string, ways: Way[]): Box {
  const box = (kind: BoxKind, label: string, note: string, children: Box[] = []): Box => ({ id, kind, label, note, children });
  const part = (key: string, note: string, body: Node[] | undefined): Box => {
    const at = `${id}:${key}`;
    return { id: at, kind: "group", label: key, note, children: bodyOf(body ?? [], at, ways) };
  };
  switch (n.kind) {
    case "activity":
      return box("node", n.key, [n.activity?.name !== n.key && n.activity?.name, n.activity?.compensate && `undone by ${n.activity.compensate.name}`].filter(Boolean).join(" · "));
    case "task":
      return box("node", n.key, n.role && !n.role.includes("lambda") ? `task: ${n.role}` : "task");
    case "wait":
      return box("node", n.key, n.signal ? `waits for ${n.signal}` : "waits");
    case "child":
      return box("node", n.key, n.of ? `child ${n.of}` : "child");
    case "emit":
      return box("node", n.key, n.topic ? `emits ${n.topic}` : "emits");
    case "choice":
      return box("group", n.key, "choice", (n.arms ?? []).map((a) => part(a.key, shown(a.when), a.body)));
    case "parallel":
      return box("group", n.key, "parallel", (n.branches ?? []).map((b) => part(b.key, shown(b.when), b.body)));
    case "graph":
    case "flow": {
      const steps = (n.steps ?? []).map((s) => part(s.key, "", s.body));
      for (const s of n.steps ?? []) {
        for (const need of s.needs ?? []) way(`${id}:${need}`, `${id}:${s.key}`, "", "next", ways);
        for (const arc of s.to ?? []) if (n.steps!.some((x) => x.key === arc.step)) way(`${id}:${s.key}`, `${id}:${arc.step}`, shown(arc.when), "next", ways);
      }
      return box("group", n.key, n.kind === "graph" ? "steps" : "flow", steps);
    }
    case "machine":
      return box("group", n.key, "states", statesOf(n.states ?? [], n.initial ?? "", n.anywhere ?? [], id, ways));
    case "loop":
    case "for_each":
    case "during":
    case "hold":
      return box("group", n.key, n.kind.replace("_", " "), bodyOf(n.body ?? [], id, ways));
    default:
      return box("node", n.key, n.kind === n.key ? "" : n.kind.replace("_", " "));
  }
}
