// Where it stands, the way it took, and what failed, as the server draws it.
import { Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { api, ask, type Instance } from "../api/client";
import { placeOf } from "../parts/status";
import { Shown } from "../parts/told";

/** A drawing is shown as a picture: nothing in it runs. */
export function Drawing({ svg, alt }: { svg: string; alt: string }) {
  const [place, setPlace] = useState("");
  useEffect(() => {
    const made = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
    setPlace(made);
    return () => URL.revokeObjectURL(made);
  }, [svg]);
  return <div className="diagram">{place && <img src={place} alt={alt} />}</div>;
}

export function DiagramTab({ instance: i }: { instance: Instance }) {
  const found = useQuery({
    queryKey: ["instance", i.id, "diagram"],
    queryFn: () => ask(api.GET("/api/v1/instances/{instance_id}/diagram", { params: { path: { instance_id: i.id } }, parseAs: "text" })),
  });
  return (
    <Shown of={found}>
      {(svg) => (
        <>
          <Drawing svg={svg as unknown as string} alt={`Diagram of ${i.definition}: it is ${i.status} in ${placeOf(i)}`} />
          {Object.keys(i.open).length > 0 && (
            <Text size="sm" mt="sm">Open: {Object.entries(i.open).map(([path, what]) => `${path} (${what})`).join(", ")}</Text>
          )}
        </>
      )}
    </Shown>
  );
}
