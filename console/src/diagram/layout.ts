// Where each box and each way lies: ELK's layered layout, through all levels at once.
import ELK, { type ElkEdgeSection, type ElkNode } from "elkjs/lib/elk.bundled.js";
import type { Box, Graph } from "./graph";

const elk = new ELK();
const LETTER = 7.6; // pixels, about
const OPTIONS = {
  "elk.algorithm": "layered",
  "elk.direction": "DOWN",
  "elk.hierarchyHandling": "INCLUDE_CHILDREN",
  "elk.json.edgeCoords": "ROOT",
  "elk.layered.spacing.nodeNodeBetweenLayers": "52",
  "elk.spacing.nodeNode": "26",
  "elk.layered.nodePlacement.strategy": "NETWORK_SIMPLEX",
  "elk.edgeRouting": "ORTHOGONAL",
};

export interface Placed {
  box: Box;
  parent: string | null;
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Routed {
  points: { x: number; y: number }[];
  label: { x: number; y: number } | null;
}

export interface Layout {
  placed: Placed[];
  routed: Map<string, Routed>;
  height: number;
}

function sizeOf(box: Box): { width: number; height: number } {
  if (box.kind === "begin") return { width: 14, height: 14 };
  const letters = Math.max(box.label.length, box.note.length * 0.85);
  return { width: Math.max(72, Math.min(240, letters * LETTER + 40)), height: box.note ? 46 : 34 };
}

/** `least`: the width that what is around it needs for its own name. ELK heeds no least size of what has children. */
function nodeOf(box: Box, least = 0): ElkNode {
  const { width, height } = sizeOf(box);
  if (box.children.length === 0) return { id: box.id, width: box.kind === "begin" ? width : Math.max(width, least), height };
  const within = Math.max(width, least) - 24;
  return {
    id: box.id,
    children: box.children.map((child) => nodeOf(child, box.children.length === 1 || child.kind !== "group" ? within : 0)),
    layoutOptions: {
      "elk.padding": `[top=${box.note ? 44 : 32},left=12,bottom=12,right=12]`,
      "elk.direction": "DOWN", "elk.layered.spacing.nodeNodeBetweenLayers": "22",
    },
  };
}

export async function layoutOf(graph: Graph): Promise<Layout> {
  const boxes = new Map<string, Box>();
  const index = (box: Box) => { boxes.set(box.id, box); box.children.forEach(index); };
  graph.boxes.forEach(index);
  const whole: ElkNode = {
    id: "root",
    layoutOptions: OPTIONS,
    children: graph.boxes.map((box) => nodeOf(box)),
    edges: graph.ways.filter((w) => boxes.has(w.from) && boxes.has(w.to)).map((w) => ({ id: w.id, sources: [w.from], targets: [w.to] })),
  };
  const found: ElkNode = await elk.layout(whole);
  const placed: Placed[] = [];
  const place = (node: ElkNode, parent: string | null) => {
    const box = boxes.get(node.id);
    if (!box) return;
    placed.push({ box, parent, x: node.x ?? 0, y: node.y ?? 0, width: node.width ?? 0, height: node.height ?? 0 });
    for (const child of node.children ?? []) place(child, node.id);
  };
  for (const child of found.children ?? []) place(child, null);
  const routed = new Map<string, Routed>();
  for (const edge of found.edges ?? []) {
    const points = (edge.sections ?? []).flatMap((s: ElkEdgeSection) => [s.startPoint, ...(s.bendPoints ?? []), s.endPoint]);
    // On the last stretch, which leads down to its target: there ways of one state are apart.
    const [from, to] = [points.at(-2), points.at(-1)];
    routed.set(edge.id, { points, label: from && to ? { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 } : null });
  }
  return { placed, routed, height: found.height ?? 0 };
}
