// What operators can ask of an instance: when it is offered, what is asked for, and how the same is typed.
import type { Instance } from "../api/client";
import { quoted } from "../parts/same";
import type { Schema, Values } from "../parts/schemaForm";

export interface Verb {
  name: "signals" | "pause" | "resume" | "redrive" | "set-data" | "set-state" | "fire-timer" | "cancel-node" | "complete-node" | "add-items" | "fork" | "release" | "cancel" | "terminate" | "archive";
  operation: string;
  label: string;
  says: string;
  when: (i: Instance) => boolean;
  color?: string;
  fields?: (i: Instance, states: string[]) => Schema;
  typed?: (values: Values) => string; // what stands behind the id on the command line
}

const ended = (i: Instance) => i.completed_at !== null;
const holds = (i: Instance) => !ended(i) && Object.keys(i.open).length > 0;
const path = (i: Instance): Schema => ({ type: "string", title: "Node", enum: Object.keys(i.open) });
export const VERBS: Verb[] = [
  { name: "signals", operation: "signal_instance", label: "Signal", says: "Tell it something that it can take.", when: (i) => !ended(i) },
  { name: "pause", operation: "pause_instance", label: "Pause", says: "Nothing of it begins any more, until it is resumed. What is in flight is finished.", when: (i) => !ended(i) && i.status !== "paused" },
  { name: "resume", operation: "resume_instance", label: "Resume", says: "It goes on.", when: (i) => i.status === "paused" || i.fault !== null },
  { name: "redrive", operation: "redrive_instance", label: "Redrive", says: "It continues from where it failed.", when: (i) => i.status === "failed" },
  { name: "set-data", operation: "set_data", label: "Set data", says: "Its data are changed as you say, while nothing of it is in flight. One that failed can be redriven with them.", when: (i) => !ended(i) || i.status === "failed" },
  {
    name: "set-state", operation: "set_state", label: "Set state", says: "It is put into another state, and goes on there.", when: (i) => !ended(i),
    fields: (_, states) => ({ properties: { state: { type: "string", enum: states } }, required: ["state"] }), typed: (v) => ` ${String(v.state ?? "STATE")}`,
  },
  {
    name: "fire-timer", operation: "fire_timer", label: "Fire a timer", says: "What waits for a time waits no longer.", when: (i) => !ended(i) && i.wake_at !== null,
    fields: () => ({ properties: { path: { type: "string", title: "Of", description: "As its timers tell it: waiting!after" } }, required: ["path"] }),
    typed: (v) => ` ${String(v.path ?? "PATH")}`,
  },
  {
    name: "cancel-node", operation: "cancel_node", label: "Cancel a node", says: "What is open in it is closed.", when: holds, color: "red",
    fields: (i) => ({ properties: { path: path(i), then: { type: "string", enum: ["end", "skip"], default: "end", description: "end its branch, or go on behind it" } }, required: ["path"] }),
    typed: (v) => ` ${String(v.path ?? "PATH")}${v.then === "skip" ? " --then skip" : ""}`,
  },
  {
    name: "complete-node", operation: "complete_node", label: "Complete a node", says: "It ends with what it has, and the flow goes on.", when: holds,
    fields: (i) => ({ properties: { path: path(i) }, required: ["path"] }), typed: (v) => ` ${String(v.path ?? "PATH")}`,
  },
  {
    name: "add-items", operation: "add_items", label: "Add items", says: "More items for a for_each that is open, behind those it has.", when: holds,
    fields: (i) => ({ properties: { path: path(i), items: { title: "Items", description: "A list, as JSON: [17, 18]" } }, required: ["path", "items"] }),
    typed: (v) => ` ${String(v.path ?? "PATH")} ${quoted(JSON.stringify(v.items ?? []))}`,
  },
  {
    name: "fork", operation: "fork_instance", label: "Fork", says: "Another instance begins from this one: where it failed, or from a state, with its data as they are or as you change them. This one stays as it is.",
    when: (i) => !i.archived,
    fields: (_, states) => ({
      properties: {
        from_state: { type: "string", title: "From", enum: states, description: "None: from where it failed" },
        revision: { type: "integer", title: "With the data of revision", minimum: 1, description: "None: as they are" },
        key: { type: "string", title: "Key", description: "The same key again is the same instance" },
      },
    }),
    typed: (v) => `${v.from_state ? ` --from ${String(v.from_state)}` : ""}${v.revision ? ` --revision ${String(v.revision)}` : ""}${v.key ? ` --key ${quoted(String(v.key))}` : ""}`,
  },
  { name: "release", operation: "release_instance", label: "Release", says: "It is taken from a worker that does not react. What is in flight there may run twice.", when: (i) => i.status === "running" },
  { name: "cancel", operation: "cancel_instance", label: "Cancel", says: "It ends as cancelled. That cannot be taken back.", when: (i) => !ended(i), color: "red" },
  { name: "terminate", operation: "terminate_instance", label: "Terminate", says: "It ends as terminated, also in the midst of another ending.", when: (i) => !ended(i), color: "red" },
  { name: "archive", operation: "archive_instance", label: "Archive", says: "It leaves the lists; it can still be read.", when: (i) => ended(i) && !i.archived },
];
