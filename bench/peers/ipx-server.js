// ipx as its users run it: its own node server over a folder, or over images of other servers, with its own defaults.
// usage: PORT=… IMAGES=<folder> IPX=<the module's file> node bench/peers/ipx-server.js
//        then GET /w_400,f_jpeg/<file> or /w_400,f_jpeg/http://127.0.0.1:9000/bucket/file
import { createServer } from 'node:http'
import { pathToFileURL } from 'node:url'

const { createIPX, createIPXNodeServer, ipxFSStorage, ipxHttpStorage } = await import(
  pathToFileURL(process.env.IPX).href
)
const ipx = createIPX({
  storage: ipxFSStorage({ dir: process.env.IMAGES }),
  httpStorage: ipxHttpStorage({ domains: ['127.0.0.1'] }),
})
createServer(createIPXNodeServer(ipx)).listen(Number(process.env.PORT), '127.0.0.1')
