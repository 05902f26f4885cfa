vcl 4.1;

import std;
import xkey;

# The nginx of the node, or of the front. /healthz does not depend on the store, which cached pictures do not need.
backend darkroom {
  .host = "127.0.0.1";
  .port = "8080";
  .first_byte_timeout = 60s;
  .probe = { .url = "/healthz"; .interval = 2s; .timeout = 1s; .window = 3; .threshold = 2; .initial = 2; }
}

# The programs that delete pictures.
acl purgers {
  "127.0.0.1";
}

sub vcl_recv {
  if (req.method == "PURGE") {
    if (client.ip !~ purgers) {
      return (synth(403, "Forbidden"));
    }
    return (synth(200, "Purged " + xkey.purge(req.http.X-Cache-Tag)));
  }

  # Darkroom sets and reads no cookies.
  unset req.http.Cookie;

  # Uploads, deletions, originals and embedded metadata: for one client, or not a GET.
  if (req.http.Authorization || (req.method != "GET" && req.method != "HEAD")) {
    return (pass);
  }

  # Browsers send dozens of different Accept headers. Darkroom distinguishes three.
  if (req.http.Accept ~ "(?i)(^|[,\s])image/avif(?![^,]*;\s*q=0(\.0*)?\s*([,;]|$))([\s,;]|$)") {
    set req.http.Accept = "image/avif,image/webp,*/*";
  } elsif (req.http.Accept ~ "(?i)(^|[,\s])image/webp(?![^,]*;\s*q=0(\.0*)?\s*([,;]|$))([\s,;]|$)") {
    set req.http.Accept = "image/webp,*/*";
  } else {
    set req.http.Accept = "*/*";
  }
}

sub vcl_backend_response {
  # The tags of the object, which xkey.purge finds it by.
  set beresp.http.xkey = beresp.http.Cache-Tag;

  # In the background, neither an error nor a copy that Darkroom serves stale itself may replace the picture.
  if (bereq.is_bgfetch && (beresp.status >= 500 || (beresp.status == 200 && beresp.ttl <= 0s))) {
    return (abandon);
  }

  if (beresp.status >= 400) {
    # Only as long as Cache-Control says: 5 seconds for a 404, not at all for others. Varnish would add 10 seconds.
    set beresp.grace = 0s;
  } else {
    # While Darkroom is away, pictures are served as long as stale-if-error says, by default for a day.
    set beresp.grace = std.duration(regsub(beresp.http.Cache-Control, ".*stale-if-error=(\d+).*", "\1s"), 1d);
  }
}

sub vcl_hit {
  # While Darkroom is there, a picture is stale for no longer than stale-while-revalidate says.
  if (std.healthy(req.backend_hint) && obj.ttl + std.duration(
      regsub(obj.http.Cache-Control, ".*stale-while-revalidate=(\d+).*", "\1s"), 0s) <= 0s) {
    set req.hash_always_miss = true;
    return (restart);
  }
}

sub vcl_deliver {
  unset resp.http.xkey;
  # Browsers have no use for tags. Leave the header if another cache in front purges by it.
  unset resp.http.Cache-Tag;
}
