// One line that says which instances: typed with completion, kept in the address.
import { Combobox, Group, Pill, PillsInput, Text, useCombobox } from "@mantine/core";
import { useEffect, useState } from "react";
import { STATUSES } from "../parts/status";

export type Filters = { [param: string]: string | string[] | undefined };

interface Field {
  name: string;
  param: string;
  says: string;
  values?: string[];
  time?: true;
}

interface Token {
  param: string;
  value: string;
  text: string;
}

const TIMES: Field[] = ["started", "moved", "ended"].flatMap((what, n) => {
  const param = ["created", "updated", "completed"][n]!;
  return [
    { name: `${what} after`, param: `${param}_from`, says: "24h, 7d, 2026-11-01 or a whole time", time: true as const },
    { name: `${what} before`, param: `${param}_to`, says: "24h, 7d, 2026-11-01 or a whole time", time: true as const },
  ];
});
const SINCE = ["1h", "24h", "7d", "30d"];
const IS: Record<string, string> = { "set aside": "fault", archived: "archived" };

function fieldsOf(definitions: string[], states: string[]): Field[] {
  return [
    { name: "status", param: "status", says: STATUSES.join(", "), values: [...STATUSES] },
    { name: "definition", param: "definition", says: "whose instances they are", values: definitions },
    { name: "state", param: "state", says: "a state, or its label", values: states },
    { name: "key", param: "key", says: "as it was started with, whole" },
    { name: "correlation", param: "correlation_id", says: "what ties it to others" },
    { name: "parent", param: "parent", says: "the id of the one that began it" },
    { name: "is", param: "is", says: Object.keys(IS).join(", "), values: Object.keys(IS) },
    ...TIMES,
  ];
}

/** What the address says, one by one. */
function tokensOf(filters: Filters, fields: Field[]): Token[] {
  const found: Token[] = [];
  for (const f of fields) {
    const said = filters[f.param];
    for (const value of said === undefined ? [] : Array.isArray(said) ? said : [said]) {
      found.push({ param: f.param, value, text: `${f.name}: ${f.time ? new Date(value).toLocaleString() : value}` });
    }
  }
  for (const [text, param] of Object.entries(IS)) if (filters[param] === "true") found.push({ param, value: "true", text: `is: ${text}` });
  for (const each of String(filters.attribute ?? "").split(" ").filter(Boolean)) found.push({ param: "attribute", value: each, text: each });
  return found;
}

function withToken(filters: Filters, { param, value }: Token): Filters {
  if (param === "status") return { status: [...new Set([...(filters.status ?? []), value])] };
  if (param === "attribute") return { attribute: [filters.attribute, value].filter(Boolean).join(" ") };
  return { [param]: value, ...(param === "definition" ? { state: undefined } : {}) };
}

function withoutToken(filters: Filters, { param, value }: Token): Filters {
  const left = (several: string[]) => several.filter((each) => each !== value);
  if (param === "status") return { status: left(filters.status as string[]) };
  if (param === "attribute") return { attribute: left(String(filters.attribute).split(" ")).join(" ") };
  return { [param]: undefined, ...(param === "definition" ? { state: undefined } : {}) };
}

const UNITS: Record<string, number> = { m: 60, h: 3_600, d: 86_400 };

/** As the API takes it: so long ago, a day here, or a whole time. Undefined: it is none. */
function moment(text: string): string | undefined {
  const [, count, unit] = /^(\d{1,6})\s*([mhd])$/.exec(text) ?? [];
  const at = count ? Date.now() - Number(count) * UNITS[unit!]! * 1_000 : Date.parse(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00` : text);
  return Number.isNaN(at) || !/^\d/.test(text) ? undefined : new Date(at).toISOString().replace(/\.\d+Z$/, "Z");
}

/** What a line means: a value of a field, an attribute, or a key. Undefined: nothing yet. */
function read(text: string, fields: Field[]): Token | undefined {
  const whole = text.trim();
  const field = fields.find((f) => whole.startsWith(`${f.name}:`));
  const said = field ? whole.slice(field.name.length + 1).trim() : whole;
  if (!said) return undefined;
  if (field?.time) {
    const value = moment(said);
    return value === undefined ? undefined : { param: field.param, value, text: whole };
  }
  if (field?.param === "is") return IS[said] === undefined ? undefined : { param: IS[said], value: "true", text: whole };
  if (field) return { param: field.param, value: said, text: whole };
  if (/^[^\s=]+=\S+$/.test(whole)) return { param: "attribute", value: whole, text: whole };
  return { param: "key", value: whole, text: `key: ${whole}` };
}

/** Lines that may have been meant, the likeliest first. */
function meant(text: string, fields: Field[], attributes: string[]): { line: string; says: string }[] {
  const typed = text.trimStart().toLowerCase();
  const field = fields.find((f) => typed.startsWith(`${f.name}:`));
  if (field) {
    const rest = typed.slice(field.name.length + 1).trim();
    const values = (field.values ?? (field.time ? SINCE : [])).filter((v) => v.toLowerCase().includes(rest));
    const lines = values.map((v) => ({ line: `${field.name}: ${v}`, says: field.time ? "ago" : "" }));
    return rest && !values.some((v) => v.toLowerCase() === rest) && field.param !== "is" ? [...lines, { line: text.trim(), says: field.says }] : lines;
  }
  const values = typed ? fields.flatMap((f) => (f.values ?? []).filter((v) => v.toLowerCase().includes(typed)).map((v) => ({ line: `${f.name}: ${v}`, says: "" }))) : [];
  const [begun, others] = [(f: Field) => f.name.startsWith(typed), (f: Field) => !f.name.startsWith(typed) && f.name.includes(typed)].map((holds) => fields.filter(holds).map((f) => ({ line: `${f.name}:`, says: f.says })));
  const attributed = attributes.filter((a) => a.toLowerCase().includes(typed)).map((a) => ({ line: a, says: "attribute" }));
  const itself = typed ? [{ line: read(text, fields)?.text ?? text, says: typed.includes("=") ? "attribute" : "" }] : [];
  return [...begun!, ...values, ...others!, ...attributed, ...itself];
}

interface Props {
  filters: Filters;
  set: (changes: Filters) => void;
  definitions: string[];
  states: string[];
  attributes: string[]; // name=value, of what is shown
}

export function FilterBar({ filters, set, definitions, states, attributes }: Props) {
  const box = useCombobox({ onDropdownClose: () => box.resetSelectedOption() });
  const [text, setText] = useState("");
  const fields = fieldsOf(definitions, [...new Set(states)]);
  const tokens = tokensOf(filters, fields);
  const lines = meant(text, fields, attributes.filter((a) => !tokens.some((t) => t.value === a)));
  const wrong = fields.find((f) => f.time && text.startsWith(`${f.name}:`)) && text.split(":")[1]?.trim() && !read(text, fields) ? "Not a time: 24h, 7d or 2026-11-01" : "";

  // What is typed means the first line, until another one is chosen; while nothing is typed, none.
  useEffect(() => {
    if (text) box.selectFirstOption();
    else box.resetSelectedOption();
  }, [text, lines.length]);

  function take(line: string) {
    if (line.endsWith(":")) {
      setText(`${line} `);
      return;
    }
    const token = read(line, fields);
    if (token === undefined) return;
    setText("");
    set(withToken(filters, token));
  }

  return (
    <Combobox store={box} onOptionSubmit={take} position="bottom-start" width="min(440px, calc(100vw - 2rem))" shadow="md">
      <Combobox.DropdownTarget>
        <PillsInput onClick={() => box.openDropdown()} error={wrong || undefined} flex="1 1 300px">
          <Pill.Group>
            {tokens.map((t) => (
              <Pill
                key={t.param + t.value} withRemoveButton onRemove={() => set(withoutToken(filters, t))}
                removeButtonProps={{ "aria-label": `Without ${t.text}`, "aria-hidden": undefined, tabIndex: 0 }}
              >
                {t.text}
              </Pill>
            ))}
            <Combobox.EventsTarget>
              <PillsInput.Field
                aria-label="Filter" value={text} placeholder={tokens.length ? "" : "status: failed, definition: …, region=north"}
                onFocus={() => box.openDropdown()} onBlur={() => box.closeDropdown()}
                onChange={(e) => { setText(e.currentTarget.value); box.openDropdown(); }}
                onKeyDown={(e) => {
                  const last = tokens.at(-1);
                  if (e.key === "Backspace" && text === "" && last) set(withoutToken(filters, last));
                }}
              />
            </Combobox.EventsTarget>
          </Pill.Group>
        </PillsInput>
      </Combobox.DropdownTarget>
      <Meant lines={lines} />
    </Combobox>
  );
}

function Meant({ lines }: { lines: ReturnType<typeof meant> }) {
  return (
    <Combobox.Dropdown hidden={lines.length === 0}>
      <Combobox.Options mah={320} style={{ overflowY: "auto" }} aria-label="What may be meant">
        {lines.slice(0, 30).map(({ line, says }) => (
          <Combobox.Option value={line} key={line}>
            <Group gap="sm" justify="space-between" wrap="nowrap"><span>{line}</span>{says && <Text span size="xs" c="dimmed" truncate>{says}</Text>}</Group>
          </Combobox.Option>
        ))}
      </Combobox.Options>
    </Combobox.Dropdown>
  );
}
