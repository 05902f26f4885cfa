class CreatePictures < ActiveRecord::Migration[6.1]
  def change
    create_table :pictures do |table|
      table.string :alt, null: false
      table.string :darkroom_id, null: false, limit: 40, index: true
      table.integer :width, null: false
      table.integer :height, null: false
      table.timestamps
    end
    create_table :photos do |table|
      table.string :alt, null: false
      table.timestamps
    end
  end
end
