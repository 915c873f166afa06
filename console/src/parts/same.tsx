// The same by hand: as a command, and as a request.
import { Code, Tabs } from "@mantine/core";

/** Between single quotes of a shell. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

export function Same({ command, path, body }: { command: string; path: string; body: object }) {
  return (
    <Tabs defaultValue="cli" variant="outline">
      <Tabs.List><Tabs.Tab value="cli">Command</Tabs.Tab><Tabs.Tab value="curl">curl</Tabs.Tab></Tabs.List>
      <Tabs.Panel value="cli"><Code block tabIndex={0}>{command}</Code></Tabs.Panel>
      <Tabs.Panel value="curl">
        <Code block tabIndex={0}>{`curl ${location.origin}/api/v1${path} \\\n  -H "Authorization: Bearer $STEPKEEL_KEY" -H 'Content-Type: application/json' \\\n  -d ${quoted(JSON.stringify(body))}`}</Code>
      </Tabs.Panel>
    </Tabs>
  );
}
