# Runs in a fresh Debian root, in the folder of the project, after README.md: the commands are in START, UPLOAD and TEST.
# Prints lines of the form "name value", which tools/fresh-debian.ts reads; everything else is on standard error.
set -u
origin=http://127.0.0.1:$PORT
cp test/fixtures/mountains.jpg photo.jpg

echo "node $(node --version)"
echo "npm $(npm --version)"

begin=$(date +%s.%N)
seconds() { awk "BEGIN { printf \"%.1f\", $(date +%s.%N) - $begin }"; }

sh -c "exec $START" >start.log 2>&1 &
node=$!
until curl --silent --fail --output /dev/null "$origin/readyz"; do
  if ! kill -0 $node 2>/dev/null; then
    wait $node
    echo "refused $? $(tail --lines=1 start.log)"
    cat start.log >&2
    exit
  fi
  sleep 0.1
done
echo "ready $(seconds)"

id=$(sh -c "$UPLOAD" | grep --only-matching '"id":"[0-9a-f]*"' | cut --delimiter='"' --fields=4)
echo "picture $(curl --silent --output picture.webp --write-out '%{http_code} %{content_type} %{size_download}' \
  --header 'Accept: image/webp' "$origin/image/$id/400w")"
echo "first $(seconds)"

kill -TERM $node
wait $node
echo "stopped $?"
cat start.log >&2

if [ -n "$TEST" ]; then
  begin=$(date +%s.%N)
  sh -c "$TEST" >&2
  echo "tests $? $(seconds)"
fi
