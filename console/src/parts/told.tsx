// What a page says when there is nothing, when something is wrong, and while nothing is known yet.
import { Alert, Box, Button, Group, Paper, Skeleton, Stack, Text, Title } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Problem } from "../api/client";

export function Page({ title, aside, children }: { title: ReactNode; aside?: ReactNode; children: ReactNode }) {
  return (
    <Stack gap="md">
      <Group justify="space-between" align="center">
        <Title order={1} size="h2">{title}</Title>
        {aside && <Group gap="xs">{aside}</Group>}
      </Group>
      {children}
    </Stack>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <Paper withBorder p="xl" ta="center">
      <Text fw={600}>{title}</Text>
      {children && <Box c="dimmed" mt={4} fz="sm">{children}</Box>}
    </Paper>
  );
}

export function Wrong({ error, again }: { error: Error; again?: () => void }) {
  const remedy = error instanceof Problem ? error.remedy : "";
  return (
    <Alert color="red" title={error.message} role="alert">
      {remedy && <Text size="sm">{remedy}</Text>}
      {again && <Button size="xs" variant="default" mt="xs" onClick={again}>Try again</Button>}
    </Alert>
  );
}

/** Shows what is known; what is wrong beside it, never instead of it. */
export function Shown<T>({ of, children }: { of: UseQueryResult<T>; children: (data: T) => ReactNode }) {
  return (
    <>
      {of.error && <Wrong error={of.error} again={() => void of.refetch()} />}
      {of.data !== undefined ? children(of.data) : !of.error && <Skeleton h={160} aria-label="Loading" />}
    </>
  );
}

export function say(text: string, color = "green"): void {
  notifications.show({ message: text, color });
}

export function complain(error: unknown): void {
  const it = error instanceof Error ? error : new Error(String(error));
  const remedy = it instanceof Problem && it.remedy ? ` (${it.remedy})` : "";
  notifications.show({ title: "Not done", message: it.message + remedy, color: "red", autoClose: 10_000 });
}
