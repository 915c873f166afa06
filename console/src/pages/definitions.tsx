import { Badge, Group, Paper, SimpleGrid, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { api, ask } from "../api/client";
import { Empty, Page, Shown } from "../parts/told";

export function Definitions() {
  const found = useQuery({ queryKey: ["list", "definitions"], queryFn: () => ask(api.GET("/api/v1/definitions")) });
  return (
    <Page title="Definitions">
      <Shown of={found}>
        {({ items }) => items.length === 0 ? <Empty title="There are no definitions yet">A worker that opens an engine with workflows stores them here.</Empty> : (
          <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }}>
            {[...new Set(items.map((d) => d.name))].map((name) => {
              const versions = items.filter((d) => d.name === name).sort((a, b) => b.version - a.version);
              const states = (versions[0]!.outline as { states?: unknown[] }).states?.length ?? 0;
              return (
                <Paper key={name} withBorder p="md">
                  <Text fw={700}>{name}</Text>
                  <Text size="sm" c="dimmed" mb="xs">{states} state{states === 1 ? "" : "s"}{versions.some((v) => v.served) ? "" : ", served elsewhere"}</Text>
                  <Group gap="xs">
                    {versions.map((v) => (
                      <Link key={v.version} to="/definitions/$name/$version" params={{ name, version: String(v.version) }}>version {v.version}</Link>
                    ))}
                    {versions[0]!.status !== "active" && <Badge variant="light" color="yellow" tt="none">{versions[0]!.status}</Badge>}
                  </Group>
                </Paper>
              );
            })}
          </SimpleGrid>
        )}
      </Shown>
    </Page>
  );
}
