import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The files go where the Python package serves them from. `npm run dev` asks a server that runs on the usual port.
export default defineConfig({
  plugins: [react()],
  build: { outDir: "../src/stepkeel/console/dist", emptyOutDir: true, target: "es2022", assetsInlineLimit: 0, chunkSizeWarningLimit: 2_000 },
  server: { proxy: { "/api": "http://127.0.0.1:8080" } },
});
