// Data as a tree: objects and lists open and close, long texts are cut until they are asked for.
import { Box, Text, UnstyledButton } from "@mantine/core";
import { useState } from "react";

const LONG = 200;
const SHOWN = 100; // items of a list, until more are asked for

export function Json({ value, name, depth = 0 }: { value: unknown; name?: string; depth?: number }) {
  const [open, setOpen] = useState(depth < 2);
  const [most, setMost] = useState(SHOWN);
  const label = name !== undefined && <Text span c="dimmed" ff="monospace" fz="sm">{name}: </Text>;
  if (typeof value !== "object" || value === null) return <Box pl={depth ? 16 : 0}>{label}<Plain value={value} /></Box>;
  const entries = Object.entries(value);
  const [from, to] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  if (entries.length === 0) return <Box pl={depth ? 16 : 0}>{label}<Text span ff="monospace" fz="sm">{from + to}</Text></Box>;
  return (
    <Box pl={depth ? 16 : 0}>
      <UnstyledButton onClick={() => setOpen(!open)} aria-expanded={open} fz="sm" ff="monospace">
        {open ? "▾ " : "▸ "}{label}{open ? from : `${from} ${entries.length} ${to}`}
      </UnstyledButton>
      {open && entries.slice(0, most).map(([k, v]) => <Json key={k} name={k} value={v} depth={depth + 1} />)}
      {open && entries.length > most && (
        <UnstyledButton pl={16} fz="sm" c="var(--mantine-primary-color-filled)" onClick={() => setMost(most * 10)}>
          {entries.length - most} more
        </UnstyledButton>
      )}
      {open && <Text ff="monospace" fz="sm">{to}</Text>}
    </Box>
  );
}

function Plain({ value }: { value: unknown }) {
  const [whole, setWhole] = useState(false);
  const text = JSON.stringify(value) ?? "";
  const cut = text.length > LONG && !whole;
  return (
    <Text span ff="monospace" fz="sm">
      {cut ? `${text.slice(0, LONG)}… ` : text}
      {cut && <UnstyledButton fz="sm" c="var(--mantine-primary-color-filled)" onClick={() => setWhole(true)}>all</UnstyledButton>}
    </Text>
  );
}
