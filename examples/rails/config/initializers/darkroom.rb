require Rails.root.join('vendor/darkroom/sign') # examples/signing/sign.rb of Darkroom

Rails.application.configure do
  config.x.darkroom.url = ENV.fetch('DARKROOM_URL', 'http://127.0.0.1:8080') # for this server
  config.x.darkroom.public_url = ENV.fetch('DARKROOM_PUBLIC_URL', config.x.darkroom.url) # for browsers
  config.x.darkroom.token = ENV.fetch('DARKROOM_TOKEN', '')
  config.x.darkroom.url_key = ENV['DARKROOM_URL_KEY'] # the first of URL_KEYS, with SIZE_POLICY=signed
  config.x.darkroom.bucket = 'photos' # the alias in BUCKETS_FILE of the bucket of Active Storage
end

# Active Storage asks for the width and height of a new file.
class DarkroomAnalyzer < ActiveStorage::Analyzer
  def self.accept?(blob)
    blob.image?
  end

  def metadata
    DarkroomClient.object_info(blob.key).slice('width', 'height').symbolize_keys
  end
end

Rails.application.config.active_storage.analyzers.prepend(DarkroomAnalyzer)
