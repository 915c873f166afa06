// A definition as one looks at it: boxes within boxes, zoomed and moved; where an instance stands, if it is one's.
import "@xyflow/react/dist/style.css";
import "./diagram.css";

import { Skeleton, useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { BaseEdge, Controls, type Edge, EdgeLabelRenderer, type EdgeProps, Handle, type Node, type NodeProps, Position, ReactFlow, useReactFlow } from "@xyflow/react";
import { type KeyboardEvent, useEffect, useMemo } from "react";
import { Wrong } from "../parts/told";
import { type Box, graphOf, type Outline, type Way } from "./graph";
import { layoutOf, type Routed } from "./layout";
import type { Mark, Marks } from "./marks";

type BoxNode = Node<{ box: Box; mark: Mark; count: number; chosen: boolean }, "box">;
type WayEdge = Edge<{ way: Way; routed: Routed; gone: boolean }, "way">;

interface Props {
  outline: Outline;
  name: string;
  marks?: Marks;
  counts?: Map<string, number>; // instances in each state
  chosen?: string;
  choose?: (address: string) => void;
}

export default function Diagram({ outline, name, marks, counts, chosen, choose }: Props) {
  const { ref, width } = useElementSize();
  const graph = useMemo(() => graphOf(outline), [outline]);
  const scheme = useComputedColorScheme("light");
  const layout = useQuery({ queryKey: ["layout", outline], queryFn: () => layoutOf(graph), staleTime: Infinity, refetchInterval: false, retry: false });
  if (layout.error) return <Wrong error={layout.error} />;
  if (!layout.data) return <Skeleton h={320} aria-label="Loading" />;
  const { placed, routed, height } = layout.data;

  const nodes = placed.map(({ box, parent, x, y, width, height: tall }): BoxNode => ({
    id: box.id, type: "box", position: { x, y }, width, height: tall, ...(parent ? { parentId: parent } : {}), draggable: false, connectable: false,
    selectable: box.kind !== "begin", focusable: box.kind !== "begin" && choose !== undefined,
    ariaLabel: told(box, marks?.boxes.get(box.id), counts?.get(box.id)),
    data: { box, mark: marks?.boxes.get(box.id) ?? "", count: counts?.get(box.id) ?? 0, chosen: chosen === box.id },
  }));
  const edges = graph.ways.filter((w) => routed.has(w.id)).map((way): WayEdge => ({
    id: way.id, type: "way", source: way.from, target: way.to, selectable: false, focusable: false, zIndex: 1,
    data: { way, routed: routed.get(way.id)!, gone: marks?.ways.has(way.taken) ?? false },
  }));
  const byKey = (event: KeyboardEvent) => {
    const id = (event.target as HTMLElement).closest<HTMLElement>(".react-flow__node")?.dataset.id;
    if (id && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      choose?.(id);
    }
  };
  return (
    <div ref={ref} className="drawn" style={{ height: Math.max(260, Math.min(1_100, height + 60)) }} role="region" aria-label={`Diagram of ${name}`} onKeyDown={byKey}>
      <ReactFlow
        nodes={nodes} edges={edges} nodeTypes={NODES} edgeTypes={EDGES} colorMode={scheme} fitView fitViewOptions={FIT} minZoom={0.1}
        nodesDraggable={false} nodesConnectable={false} elementsSelectable={choose !== undefined} zoomOnScroll={false} preventScrolling={false} panOnScroll={false}
        onNodeClick={(_, node) => node.data.box.kind !== "begin" && choose?.(node.id)}
        edgesFocusable={false} disableKeyboardA11y={false}
      >
        <Controls showInteractive={false} />
        <Fit width={width} />
      </ReactFlow>
    </div>
  );
}

/** All of it is in sight again when the place for it has become another one. */
function Fit({ width }: { width: number }) {
  const { fitView } = useReactFlow();
  useEffect(() => {
    if (width) void fitView(FIT);
  }, [width, fitView]);
  return null;
}

const FIT = { maxZoom: 1, padding: 0.06 };
const SAID: Record<Mark, string> = { now: "it is here", done: "done", failed: "failed", undone: "undone", "": "" };
const SIGNS: Record<Mark, string> = { now: "▸ ", done: "✓ ", failed: "✕ ", undone: "↶ ", "": "" };

function told(box: Box, mark: Mark = "", count = 0): string {
  return [box.label, box.note, SAID[mark], count ? `${count} instances` : ""].filter(Boolean).join(", ");
}

function BoxView({ data: { box, mark, count, chosen } }: NodeProps<BoxNode>) {
  return (
    <div className={`box ${box.kind} ${mark} ${box.children.length ? "holds" : ""} ${chosen ? "chosen" : ""}`}>
      <Handle type="target" position={Position.Top} isConnectable={false} />
      {box.kind !== "begin" && (
        <div className="named">
          <span className="name">{mark === "done" && box.kind !== "node" ? "" : SIGNS[mark]}{box.label}</span>
          {box.note && <span className="note">{box.note}</span>}
          {count > 0 && <span className="count">{count.toLocaleString()}</span>}
        </div>
      )}
      <Handle type="source" position={Position.Bottom} isConnectable={false} />
    </div>
  );
}

function WayView({ id, data }: EdgeProps<WayEdge>) {
  const { way, routed, gone } = data!;
  const path = routed.points.map((p, n) => `${n ? "L" : "M"}${p.x},${p.y}`).join(" ");
  const end = routed.points.at(-1)!;
  const before = routed.points.at(-2) ?? end;
  const turn = (Math.atan2(end.y - before.y, end.x - before.x) * 180) / Math.PI;
  return (
    <>
      <BaseEdge id={id} path={path} className={`${way.kind} ${gone ? "gone" : ""}`} />
      <path d="M-7,-4 L0,0 L-7,4 Z" transform={`translate(${end.x},${end.y}) rotate(${turn})`} className={`tip ${gone ? "gone" : ""}`} />
      {routed.label && way.label && (
        <EdgeLabelRenderer>
          <span className={`way-label ${way.kind}`} style={{ transform: `translate(-50%, -50%) translate(${routed.label.x}px, ${routed.label.y}px)` }}>{way.label}</span>
        </EdgeLabelRenderer>
      )}
    </>
  );
}

const NODES = { box: BoxView };
const EDGES = { way: WayView };
