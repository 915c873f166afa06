// One version of a definition, which does not change while a page is looked at.
import { useQuery } from "@tanstack/react-query";
import { api, ask } from "./client";

export function useDefinition(name: string, version: number, enabled = true) {
  return useQuery({
    queryKey: ["definition", name, version],
    queryFn: () => ask(api.GET("/api/v1/definitions/{name}/versions/{version}", { params: { path: { name, version } } })),
    staleTime: 300_000,
    enabled,
  });
}
