require 'rails'
require 'active_job/railtie'
require 'active_record/railtie'
require 'active_storage/engine'
require 'action_controller/railtie'
require 'action_view/railtie'

module Gallery
  class Application < Rails::Application
    config.root = File.expand_path('..', __dir__)
    config.load_defaults 6.1
    config.eager_load = true
    config.secret_key_base = ENV.fetch('SECRET_KEY_BASE')
    config.active_storage.service = :s3
    config.active_job.queue_adapter = :inline
    config.logger = ActiveSupport::Logger.new($stdout)
  end
end
