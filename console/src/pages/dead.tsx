// What failed, in groups of one cause: looked at, and continued once the cause is mended.
import { Badge, Button, Group, Stack, Table, Text, UnstyledButton, VisuallyHidden } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { Fragment, useState } from "react";
import { api, ask, type Schemas } from "../api/client";
import { BulkDialog } from "../parts/bulk";
import { Empty, Page, Shown } from "../parts/told";
import { useSession } from "../session";
import { Scrolls } from "../parts/scrolls";

const route = getRouteApi("/dead-letters");
type Group_ = Schemas["DeadLetters"];

export function DeadLetters() {
  const query = route.useSearch();
  const { may } = useSession();
  const [chosen, setChosen] = useState<Group_ | null>(null);
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const toggle = (g: Group_) => setOpen((was) => {
    const now = new Set(was);
    if (!now.delete(nameOf(g))) now.add(nameOf(g));
    return now;
  });
  const found = useQuery({ queryKey: ["list", "dead", query], queryFn: () => ask(api.GET("/api/v1/dead-letters", { params: { query } })) });
  return (
    <Page title="Dead letters">
      <Text c="dimmed" size="sm">Failed instances wait here with all they had. Mend the cause, then redrive: they go on from where they failed.</Text>
      <Shown of={found}>
        {({ items }) => items.length === 0 ? <Empty title="Nothing has failed">What fails for good is kept here until somebody redrives or archives it.</Empty> : (
          <Scrolls label="Dead letters">
            <Table className="rows" verticalSpacing="sm">
              <Table.Thead>
                <Table.Tr><Table.Th>How many</Table.Th><Table.Th>Failure</Table.Th><Table.Th className="wide">Where</Table.Th><Table.Th>Last one</Table.Th><Table.Th><VisuallyHidden>Actions</VisuallyHidden></Table.Th></Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {items.map((g) => (
                  <Fragment key={`${g.definition}/${g.state}/${g.code}/${g.fingerprint}`}>
                  <Table.Tr>
                    <Table.Td>
                      <UnstyledButton onClick={() => toggle(g)} aria-expanded={open.has(nameOf(g))} aria-label={`The newest of ${g.count} of ${g.definition} with ${g.code}`}>
                        <Group gap={4} wrap="nowrap">{open.has(nameOf(g)) ? "▾" : "▸"}<Badge color="red" variant="light" size="lg">{g.count}</Badge></Group>
                      </UnstyledButton>
                    </Table.Td>
                    <Table.Td><Text fw={600} size="sm">{g.code}</Text><Text size="sm" c="dimmed" lineClamp={2}>{g.example}</Text></Table.Td>
                    <Table.Td className="wide">
                      <Link to="/instances" search={{ definition: g.definition, status: ["failed"], state: g.state }}>{g.definition} in {g.state}</Link>
                    </Table.Td>
                    <Table.Td><Link to="/instances/$id" params={{ id: g.latest }}>look at it</Link></Table.Td>
                    <Table.Td>
                      <Group justify="flex-end">
                        {may("redrive_instances") && <Button size="xs" variant="light" onClick={() => setChosen(g)} aria-label={`Redrive ${g.count} of ${g.definition} with ${g.code}`}>Redrive…</Button>}
                      </Group>
                    </Table.Td>
                  </Table.Tr>
                  {open.has(nameOf(g)) && <Newest group={g} />}
                  </Fragment>
                ))}
              </Table.Tbody>
            </Table>
          </Scrolls>
        )}
      </Shown>
      {chosen && (
        <BulkDialog
          verb="redrive" like={{ code: chosen.code, fingerprint: chosen.fingerprint }} state={chosen.state} close={() => setChosen(null)}
          filter={{ definition: chosen.definition, state: chosen.state, status: ["failed"] } as Schemas["Filter"]}
        />
      )}
    </Page>
  );
}

function nameOf(g: Group_): string {
  return `${g.definition}/${g.state}/${g.fingerprint}`;
}

/** Its newest, one by one: looked at, continued, or mended first. */
function Newest({ group: g }: { group: Group_ }) {
  const { may } = useSession();
  return (
    <Table.Tr>
      <Table.Td colSpan={5}>
        <Stack gap={4} component="ul" m={0} pl="lg">
          {g.newest.map((id) => (
            <li key={id}>
              <Group gap="md">
                <Link to="/instances/$id" params={{ id }}><span className="mono">{id}</span></Link>
                {may("redrive_instance") && <Link to="/instances/$id" params={{ id }} search={{ do: "redrive" }}>Redrive it</Link>}
                {may("set_data") && <Link to="/instances/$id" params={{ id }} search={{ do: "set-data" }}>Edit its data and redrive</Link>}
              </Group>
            </li>
          ))}
        </Stack>
        {g.count > g.newest.length && <Text size="sm" c="dimmed" mt={4}>The newest {g.newest.length} of {g.count}.</Text>}
      </Table.Td>
    </Table.Tr>
  );
}
